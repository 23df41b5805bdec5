"""What a restoring method is worth: the same at every call, and without a trace."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from doubles import (
    CPU,
    build_method,
    pictures,
)

from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.data.images import ImageSet
from sslcli.evaluation.restoration_monitor import (
    RestorationMonitor,
    as_images,
    pictures_of,
)
from sslcli.generators import seed_generators
from sslcli.method import Method, MethodConfig, Restorer
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import (
    ContextConfig,
    EncoderConfig,
    MLPConfig,
)

DENOISING = DenoisingAutoencoderConfig()

FILLING = ContextEncoderConfig(bottleneck=4)


def monitor(method: Method) -> RestorationMonitor:
    assert isinstance(method, Restorer)
    return RestorationMonitor(method, method.modules(), pictures(), CPU)


@pytest.mark.parametrize(
    ("config", "encoder"), [(DENOISING, MLPConfig(widths=[8])), (FILLING, ContextConfig(width=2))]
)
def test_the_same_at_every_call_and_without_a_trace(
    config: MethodConfig, encoder: EncoderConfig
) -> None:
    method = build_method(config, encoder)
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


def test_pictures_and_images_are_each_others_inverse() -> None:
    images = pictures().images
    assert np.array_equal(as_images(pictures_of(images, CPU.device)), images)


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
    plain = build_method(
        DenoisingAutoencoderConfig(corruption=CorruptionConfig()), MLPConfig(widths=[8])
    )
    assert monitor(plain)(1)["damaged_psnr"] == pytest.approx(100)
