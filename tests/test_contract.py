"""What every method of the table promises, whatever it does; and variants of it that train by other code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import CPU, Killed, build_method, pictures, same, state, train_in

from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.data.batches import Batches
from sslcli.evaluation.features import features
from sslcli.method import Method, MethodConfig, views_by_size
from sslcli.methods import METHODS
from sslcli.methods.barlow_twins import BarlowTwinsConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig, Reconstruction
from sslcli.methods.dino import DINOConfig
from sslcli.methods.moco import MoCoConfig
from sslcli.methods.simclr import ContrastiveLoss, SimCLRConfig
from sslcli.methods.simsiam import SimSiamConfig
from sslcli.methods.swav import SwAVConfig
from sslcli.nets.encoder_config import ContextConfig, ConvNetConfig, EncoderConfig, MLPConfig
from sslcli.nets.head_config import HeadConfig
from sslcli.trained.encoder import build_untrained, load_trained, write_encoder
from sslcli.trained.encoder_files import read_encoder

SMALL = HeadConfig(hidden=32, out=16)
CASES: dict[str, tuple[MethodConfig, EncoderConfig]] = {
    **{name: (config(), ConvNetConfig(width=4)) for name, config in METHODS.items()},
    # Of 8 pictures a batch: fewer dimensions, and a queue that is full of keys from the start.
    "barlow_twins": (BarlowTwinsConfig(projector=SMALL), ConvNetConfig(width=4)),
    "moco": (MoCoConfig(queue=16, momentum=0.5), ConvNetConfig(width=4)),
    "dino": (
        DINOConfig(frozen_epochs=0, num_prototypes=16, teacher_temperature=0.07, momentum=0.9),
        ConvNetConfig(width=4),
    ),
    "swav": (SwAVConfig(frozen_epochs=0, queue_from=1, queue=16), ConvNetConfig(width=4)),
    "context_encoder, adversarial": (
        ContextEncoderConfig(
            adversarial=True, masks=MaskConfig(kind=MaskKind.centre), bottleneck=None
        ),
        ContextConfig(width=4),
    ),
    "denoising_autoencoder, tied": (
        DenoisingAutoencoderConfig(tied=True, reconstruction=Reconstruction.squared_error),
        MLPConfig(widths=[24, 12]),
    ),
    "simclr, DCLW in blocks": (
        SimCLRConfig(loss=ContrastiveLoss.dclw, loss_block=3),
        ConvNetConfig(width=4),
    ),
    "simsiam, four views": (SimSiamConfig(num_views=4), ConvNetConfig(width=4)),
    "simclr, in chunks": (SimCLRConfig(chunk_size=5, loss_block=3), ConvNetConfig(width=4)),
}
"""What is trained, by name: every method as it is by default, and the variants."""


def build(name: str) -> Method:
    return build_method(*CASES[name])


def run_training(
    name: str, folder: Path, num_steps: int, stop_at: int | None = None
) -> tuple[Method, list[dict[str, Any]]]:
    method = build(name)
    return method, train_in(folder, method, Batches(pictures(), 8, 0, "cpu"), num_steps, stop_at)


@pytest.fixture(params=list(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_loss_falls(name: str, tmp_path: Path) -> None:
    _, records = run_training(name, tmp_path / "run", 60)
    losses = [record["loss"] for record in records if "loss" in record]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_same_seed_same_weights(name: str, tmp_path: Path) -> None:
    first, second = (run_training(name, tmp_path / folder, 4) for folder in ("a", "b"))
    assert same(state(first[0]), state(second[0]))
    assert first[1] == second[1]


def test_exactly_the_players_weights_move(name: str, tmp_path: Path) -> None:
    before = build(name)
    after, _ = run_training(name, tmp_path / "run", 3)
    played = {
        id(p)
        for modules in after.players().values()
        for module in modules
        for p in module.parameters()
        if p.requires_grad
    }
    assert played
    old = {
        f"{part}.{key}": p
        for part, module in before.modules().items()
        for key, p in module.named_parameters()
        if p.requires_grad
    }
    for part, module in after.modules().items():
        for key, parameter in module.named_parameters():
            if not parameter.requires_grad:  # an average moves by itself
                continue
            moved = not torch.equal(parameter, old[f"{part}.{key}"])
            assert moved is (id(parameter) in played), f"{part}.{key}"


@pytest.mark.parametrize("killed_at", [2, 5, 8])
def test_resumed_equals_uninterrupted(name: str, tmp_path: Path, killed_at: int) -> None:
    """Killed before the first checkpoint, just before one is written, and between two."""
    whole, records = run_training(name, tmp_path / "whole", 10)
    with pytest.raises(Killed):
        run_training(name, tmp_path / "cut", 10, stop_at=killed_at)
    resumed, _ = run_training(name, tmp_path / "cut", 10)
    assert same(state(resumed), state(whole))
    lines = [
        (tmp_path / folder / "metrics.jsonl").read_text().splitlines()
        for folder in ("whole", "cut")
    ]
    stripped = [[line.partition(', "timing"')[0] for line in run] for run in lines]
    assert stripped[0] == stripped[1]
    assert len(stripped[0]) == len(records)


def test_the_encoder_is_exported_and_comes_back(name: str, tmp_path: Path) -> None:
    method, _ = run_training(name, tmp_path / "run", 2)
    write_encoder(tmp_path, method.encoder, CASES[name][1], method.preprocessing, seed=1)
    files = read_encoder(tmp_path)
    assert files.preprocessing == method.preprocessing
    before, after = (
        features(encoder, pictures().images, method.preprocessing, CPU.device)
        for encoder in (method.encoder, load_trained(files))
    )
    assert torch.equal(before, after)
    assert not torch.equal(
        before,
        features(build_untrained(files), pictures().images, method.preprocessing, CPU.device),
    )


def test_views_are_floats_of_the_pictures_shape(name: str) -> None:
    views = views_by_size(build(name).views(torch.from_numpy(pictures().images)))
    assert views[0].shape[1:] == (3, 16, 16)
    for size in views:
        assert size.dtype == torch.float32
        assert len(size) % len(pictures()) == 0
        assert size.isfinite().all()
