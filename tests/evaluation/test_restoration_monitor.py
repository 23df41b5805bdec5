"""What a restoring method is worth: the same at every call, without a trace, and its figures for every kind of network."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Outcome, facts, only_run
from PIL import Image
from test_contract import CPU, pictures

from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.data.images import ImageSet
from sslcli.evaluation.restoration_monitor import (
    RestorationMonitor,
    as_images,
    pictures_of,
)
from sslcli.experiments import pretrain as training
from sslcli.generators import seed_generators
from sslcli.method import Method, MethodConfig, Preprocessing, Restorer
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoder, DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import (
    ContextConfig,
    ConvNetConfig,
    ConvStackConfig,
    EncoderConfig,
    MLPConfig,
)
from sslcli.report import restorations as restoration
from sslcli.report.restorations import first_filters, save_restorations

Sslcli = Callable[..., Outcome]
DENOISING, FILLING = DenoisingAutoencoderConfig(), ContextEncoderConfig(bottleneck=4)


def build(
    config: MethodConfig, encoder: EncoderConfig, resolution: int = 16, channels: int = 3
) -> Method:
    seed_generators(1)
    preprocessing = Preprocessing(resolution, channels, (0.5,) * channels, (0.25,) * channels)
    return config.build(encoder.build(channels, resolution), preprocessing)


def monitor(method: Method) -> RestorationMonitor:
    assert isinstance(method, Restorer)
    return RestorationMonitor(method, method.modules(), pictures(), CPU)


@pytest.mark.parametrize(
    ("config", "encoder"), [(DENOISING, MLPConfig(widths=[8])), (FILLING, ContextConfig(width=2))]
)
def test_the_same_at_every_call_and_without_a_trace(
    config: MethodConfig, encoder: EncoderConfig
) -> None:
    method = build(config, encoder)
    look = monitor(method)
    before = {
        part: {k: v.clone() for k, v in m.state_dict().items()}
        for part, m in method.modules().items()
    }

    def drawn() -> list[float]:
        return [torch.rand(1).item(), random.random(), np.random.rand()]

    seed_generators(3)
    expected = drawn()
    seed_generators(3)
    first = look(1)
    assert drawn() == expected
    assert look(2) == first
    assert first.keys() == {"damaged_psnr", "restored_psnr", "damaged_ssim", "restored_ssim"}
    for part, module in method.modules().items():
        assert module.training
        for key, value in module.state_dict().items():
            assert torch.equal(value, before[part][key]), f"{part}.{key}"


def test_perfect_restoration_scores_highest_and_none_scores_as_the_damage() -> None:
    class Fake:
        def __init__(self, right: bool) -> None:
            self.right = right

        def uses_damaged_pixels(self) -> bool:
            return True

        def damage(self, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            self.truth = given
            hidden = torch.zeros(len(given), 1, 16, 16, dtype=torch.bool)
            hidden[:, :, 4:12, 4:12] = True
            return (given + 0.2 * torch.randn_like(given)).where(hidden, given), hidden

        def restore(self, damaged: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
            return (
                self.truth.where(hidden, 7.0) if self.right else damaged
            )  # what is not hidden means nothing

    perfect, idle = (
        RestorationMonitor(Fake(right), {}, pictures(), CPU)(1) for right in (True, False)
    )
    assert perfect["restored_psnr"] == pytest.approx(100)
    assert perfect["restored_ssim"] == pytest.approx(1)
    assert idle["restored_psnr"] == idle["damaged_psnr"] == perfect["damaged_psnr"]
    assert 10 < idle["damaged_psnr"] < 25


CASES: list[tuple[MethodConfig, EncoderConfig, set[str]]] = [
    (DENOISING, MLPConfig(widths=[8]), {"restorations", "filters", "traversals", "interpolations"}),
    (
        DENOISING,
        ConvStackConfig(widths=[4, 6]),
        {"restorations", "filters", "traversals", "interpolations"},
    ),
    (DENOISING, ConvNetConfig(width=2), {"restorations", "traversals", "interpolations"}),
    (
        DENOISING,
        ConvNetConfig(width=2, bottleneck=3),
        {"restorations", "traversals", "interpolations"},
    ),
    (FILLING, ContextConfig(width=2), {"restorations"}),
]


@pytest.mark.parametrize(("config", "encoder", "names"), CASES)
@pytest.mark.parametrize("number", [24, 1])
def test_figures(
    tmp_path: Path, config: MethodConfig, encoder: EncoderConfig, names: set[str], number: int
) -> None:
    """Of one picture, which spans no directions and has no other to go to, there are no ways through the code."""
    method, val = build(config, encoder), ImageSet(pictures().images[:number])
    save_restorations(tmp_path, method, val, CPU)
    wanted = names if number > 1 else names - {"traversals", "interpolations"}
    assert {path.stem for path in tmp_path.iterdir()} == wanted
    for path in tmp_path.iterdir():
        with Image.open(path) as figure:
            assert min(figure.size) > 50
    assert all(module.training for module in method.modules().values())


def test_the_ways_through_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(
        restoration, "save_strips", lambda path, *rest: drawn.update({path.stem: rest})
    )
    method = build(DENOISING, MLPConfig(widths=[8], batch_norm=False))
    assert isinstance(method, DenoisingAutoencoder)
    save_restorations(tmp_path, method, pictures(), CPU)
    strips, names, _, _ = drawn["traversals"]
    assert strips.shape == (6, 9, 16, 16, 3)
    shares = [int(name.partition("(")[2].partition(" %")[0]) for name in names]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 101
    with torch.no_grad():
        codes = method.encoder.code(pictures_of(pictures().images, CPU.device))
        middle, ends = (
            as_images(method.decode(given))
            for given in (codes.mean(dim=0, keepdim=True), codes[:12])
        )
    for strip in strips:
        assert np.abs(strip[4].astype(int) - middle[0]).max() <= 1
    assert (strips[0][0] != strips[0][8]).any()
    strips, names, _, _ = drawn["interpolations"]
    assert len(strips) == len(names) == 6
    for row in range(6):
        assert np.abs(strips[row][0].astype(int) - ends[row]).max() <= 1
        assert np.abs(strips[row][8].astype(int) - ends[6 + row]).max() <= 1
    same = ImageSet(np.zeros((4, 16, 16, 3), np.uint8))
    save_restorations(tmp_path, method, same, CPU)
    assert all("(0 % of variance)" in name for name in drawn["traversals"][1])


@pytest.mark.parametrize("channels", [1, 3])
def test_first_filters_are_the_weights_that_look_at_pixels(channels: int) -> None:
    shape = torch.Size([channels, 16, 16])
    dense = build(DENOISING, MLPConfig(widths=[8, 4]), channels=channels).encoder
    found = first_filters(dense, shape)
    assert found is not None
    weight = dense.layers[0].linear.weight.detach().numpy()  # type: ignore[union-attr,index]
    assert found.shape == (8, 16, 16, channels)
    assert np.array_equal(
        found[5, 2, 9, channels - 1], weight[5, (channels - 1) * 256 + 2 * 16 + 9]
    )
    stack = build(DENOISING, ConvStackConfig(widths=[4, 6]), channels=channels).encoder
    found = first_filters(stack, shape)
    assert found is not None
    assert found.shape == (4, 5, 5, channels)
    kernels = stack.layers[0].convolution.weight.detach()  # type: ignore[union-attr,index]
    assert np.array_equal(found, kernels.permute(0, 2, 3, 1).numpy())
    for small in (ConvNetConfig(width=2), ContextConfig(width=2)):
        assert first_filters(build(DENOISING, small, channels=channels).encoder, shape) is None


def test_pictures_and_images_are_each_others_inverse() -> None:
    images = pictures().images
    assert np.array_equal(as_images(pictures_of(images, CPU.device)), images)


def test_pictures_of_8_pixels(sslcli: Sslcli, tmp_path: Path) -> None:
    """They are smaller than SSIM's window."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "small.npz", x_train=rng.integers(0, 256, (40, 8, 8), dtype=np.uint8))
    outcome = sslcli(
        "pretrain", "method=denoising_autoencoder", "data=arrays", "data.root=small.npz", "encoder.widths=[8]",
        "epochs=1", "batch_size=12", "runtime.threads=1",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    metrics: dict[str, Any] = facts(only_run(tmp_path / "outputs"))["metrics"]
    assert metrics["restored_psnr"] > 0
    assert "restored_ssim" not in metrics


@pytest.mark.parametrize("method", ["denoising_autoencoder", "context_encoder"])
def test_a_handful_of_pictures_is_enough(sslcli: Sslcli, tmp_path: Path, method: str) -> None:
    """One is held out for validation. A code that is wider than the picture is warned of."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "few.npz", x_train=rng.integers(0, 256, (10, 16, 16), dtype=np.uint8))
    wide = method == "denoising_autoencoder"
    small = ["encoder.widths=[8]", "encoder.bottleneck=257"] if wide else ["encoder.width=2"]
    outcome = sslcli(
        "pretrain", f"method={method}", "data=arrays", "data.root=few.npz", *small, "epochs=1", "batch_size=4",
        "runtime.threads=1",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert (
        "warning: encoder.bottleneck=257 is wider than the picture's 256 values" in outcome.err
    ) is wide
    assert (only_run(tmp_path / "outputs") / "figures/restorations.png").exists()


@pytest.mark.parametrize("config", [DENOISING, FILLING])
def test_the_sheet_of_views_shows_pictures_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: MethodConfig
) -> None:
    """These methods' views are in [0, 1], also where the encoder is fed normalised pictures."""
    from sslcli.data.batches import Batches
    from sslcli.runs.folder import Run

    shown: list[Any] = []
    monkeypatch.setattr(training, "save_contact_sheet", lambda *given: shown.append(given))
    encoder = MLPConfig(widths=[8]) if config is DENOISING else ContextConfig(width=2)
    with Run(tmp_path) as run:
        training.save_views(run, build(config, encoder), Batches(pictures(), 8, 0, "cpu"), 0)
    ((_, images, views, mean, std),) = shown
    drawn = views[0] * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    mirrored = np.array(
        [np.array_equal(a, b[:, ::-1]) for a, b in zip(as_images(drawn), images, strict=True)]
    )
    as_it_is = np.array(
        [np.array_equal(a, b) for a, b in zip(as_images(drawn), images, strict=True)]
    )
    assert (mirrored | as_it_is).all()


def test_pictures_sorted_by_class_are_watched_from_all_classes() -> None:
    """As a folder with class folders gives them."""
    dark, bright = np.zeros((300, 16, 16, 3), np.uint8), np.full((300, 16, 16, 3), 255, np.uint8)
    seen: list[torch.Tensor] = []

    class Idle:
        def uses_damaged_pixels(self) -> bool:
            return True

        def damage(self, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(given)
            return given, torch.ones(len(given), 1, 16, 16, dtype=torch.bool)

        def restore(self, damaged: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
            return damaged

    RestorationMonitor(Idle(), {}, ImageSet(np.concatenate([dark, bright])), CPU)(1)
    assert seen[0].mean() == pytest.approx(0.5)


def test_without_corruption_nothing_is_damaged() -> None:
    plain = build(DenoisingAutoencoderConfig(corruption=CorruptionConfig()), MLPConfig(widths=[8]))
    assert monitor(plain)(1)["damaged_psnr"] == pytest.approx(100)
