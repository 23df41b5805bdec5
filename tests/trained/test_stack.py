"""A run of stack-pretrain decodes by the mirrors of the layers whose codes it gives."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from doubles import PREPROCESSING, pictures
from torch import Tensor, nn

from sslcli.data.arrays import ArraysConfig
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments.stack_pretrain_config import Config, Pretraining
from sslcli.jobs.job import create
from sslcli.methods.denoising_autoencoder import Reconstruction
from sslcli.nets.encoder_config import Activation, ConvStackConfig, LayeredConfig, MLPConfig
from sslcli.nets.layered import LayeredEncoder
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run
from sslcli.trained.able_runs import DECODES, RESTORES, layer_phase, resolve_able_run
from sslcli.trained.coder import load_coder
from sslcli.trained.encoder import build_initial, write_encoder
from sslcli.trained.stack import read_stack

SEED = 5
SIGMOIDS = MLPConfig(widths=[10, 6], activation=Activation.sigmoid, batch_norm=False)
STACKS: list[tuple[LayeredConfig, Reconstruction, bool]] = [
    (SIGMOIDS, Reconstruction.cross_entropy, True),
    (SIGMOIDS, Reconstruction.squared_error, False),
    (ConvStackConfig(widths=[3, 4]), Reconstruction.squared_error, True),
]


def finished_stack(
    folder: Path,
    photos: Path,
    encoder: LayeredConfig = SIGMOIDS,
    reconstruction: Reconstruction = Reconstruction.cross_entropy,
    tied: bool = True,
    compare: tuple[Pretraining, ...] = (Pretraining.none, Pretraining.denoising),
) -> tuple[LayeredEncoder, list[nn.Module]]:
    """Leaves what stack-pretrain would have, every weight moved; returns its layers and mirrors."""
    config = Config(
        encoder=encoder, data=ArraysConfig(root=str(photos)), optim=SGDConfig(), runtime=RuntimeConfig(),
        compare=list(compare), seeds=[SEED, 1], reconstruction=reconstruction, tied=tied,
    )  # fmt: skip
    create("stack-pretrain", config, [], folder)
    built = build_initial(encoder, 3, 16, SEED)
    assert isinstance(built, LayeredEncoder)
    mirrors: list[nn.Module] = [layer.mirror(tied) for layer in built.layers]  # type: ignore[operator]
    with Run(folder) as opened, torch.no_grad():
        opened.update(status="finished")
        for depth, (layer, mirror) in enumerate(zip(built.layers, mirrors, strict=True), start=1):
            learner = nn.ModuleDict({"layer": layer, "mirror": mirror})
            for weights in learner.parameters():
                weights += 0.05 * torch.randn_like(weights)
            state = {"modules": learner.state_dict(), "minimize": {}, "meter": {}}
            for kind, moved in (("denoising", state), ("autoencoder", {"modules": {}})):
                Phase(opened, layer_phase(kind, SEED, depth), 1, SEED).save(5, moved, True)
    write_encoder(folder, built, encoder, PREPROCESSING.without_normalization(), SEED)
    return built.eval(), mirrors


def unit() -> Tensor:
    return torch.from_numpy(pictures().images[:]).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize(("encoder", "reconstruction", "tied"), STACKS)
def test_codes_go_down_through_the_mirrors(
    tmp_path: Path, photos: Path, encoder: LayeredConfig, reconstruction: Reconstruction, tied: bool
) -> None:
    built, mirrors = finished_stack(tmp_path / "run", photos, encoder, reconstruction, tied)
    coder = load_coder(tmp_path / "run")
    with torch.no_grad():
        codes = built.code(unit())
        below = mirrors[1].eval()(codes)
        if reconstruction is Reconstruction.cross_entropy:
            below = below.sigmoid()
        wanted = reconstruction.values(mirrors[0].eval()(below)).view(-1, 3, 16, 16)
    torch.testing.assert_close(coder.encode(unit()), codes)
    decoded = coder.decode(codes)
    torch.testing.assert_close(decoded, wanted)
    assert 0 <= decoded.min() < decoded.max() <= 1
    assert not any(weights.requires_grad for weights in coder.method.encoder.parameters())
    assert all((one != other).any() for one, other in pairwise(decoded)), "each has its own"


def test_it_is_found_for_its_codes_and_for_nothing_else(tmp_path: Path, photos: Path) -> None:
    finished_stack(tmp_path / "run", photos)
    assert resolve_able_run("last", tmp_path, DECODES) == tmp_path / "run"
    with pytest.raises(SslcliError, match="is a run of stack-pretrain: it cannot restore"):
        resolve_able_run(str(tmp_path / "run"), tmp_path, RESTORES)


def test_a_stack_that_nobody_trained_decodes_nothing(tmp_path: Path, photos: Path) -> None:
    finished_stack(tmp_path / "run", photos, compare=(Pretraining.none,))
    with pytest.raises(SslcliError, match="is a run of stack-pretrain: it cannot decode"):
        resolve_able_run(str(tmp_path / "run"), tmp_path, DECODES)
    with pytest.raises(SslcliError, match="with trained layers"):
        read_stack(tmp_path / "run")


def test_a_layer_that_is_not_there_is_named(tmp_path: Path, photos: Path) -> None:
    finished_stack(tmp_path / "run", photos)
    path = tmp_path / "run/denoising-5/layer-2/last.pt"
    first = tmp_path / "run/denoising-5/layer-1/last.pt"
    path.write_bytes(first.read_bytes())
    with pytest.raises(SslcliError, match="does not fit"):
        read_stack(tmp_path / "run")
    path.unlink()
    with pytest.raises(SslcliError, match="there is no ") as caught:
        read_stack(tmp_path / "run")
    assert "denoising-5/layer-2/last.pt" in caught.value.message
