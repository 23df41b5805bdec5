"""Scores of restored pictures against scikit-image and slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.evaluation import restoration
from sslcli.evaluation.restoration import (
    gradient_magnitude,
    mean_absolute_error,
    mean_squared_error,
    psnr,
    restoration_scores,
    ssim,
)


def sample(
    num: int = 3, channels: int = 3, height: int = 20, width: int = 17
) -> tuple[Tensor, Tensor, Tensor]:
    """Restored pictures that leave [0, 1] here and there, the true ones, and holes that are whole and of differing size."""
    torch.manual_seed(0)
    truth = torch.rand(num, channels, height, width)
    restored = truth + 0.3 * torch.randn_like(truth)
    region = torch.zeros(num, 1, height, width, dtype=torch.bool)
    for n in range(num):
        region[n, :, 4 + n : 12, 5 : 10 + n] = True
    return restored, truth, region


def scored(n: int, restored: Tensor, truth: Tensor, region: Tensor) -> list[tuple[float, float]]:
    """The pairs of numbers that are compared, one by one."""
    pairs = []
    for c in range(truth.shape[1]):
        for y in range(truth.shape[2]):
            for x in range(truth.shape[3]):
                if region[n, 0, y, x]:
                    pairs.append(
                        (min(max(restored[n, c, y, x].item(), 0), 1), truth[n, c, y, x].item())
                    )
    return pairs


def test_errors_are_those_of_a_slow_loop() -> None:
    restored, truth, region = sample()
    absolute, squared = (
        mean_absolute_error(restored, truth, region),
        mean_squared_error(restored, truth, region),
    )
    decibels = psnr(restored, truth, region)
    for n in range(3):
        pairs = scored(n, restored, truth, region)
        assert absolute[n].item() == pytest.approx(
            sum(abs(a - b) for a, b in pairs) / len(pairs), rel=1e-5
        )
        mse = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
        assert squared[n].item() == pytest.approx(mse, rel=1e-5)
        assert decibels[n].item() == pytest.approx(10 * math.log10(1 / mse), rel=1e-5)


def test_nothing_outside_the_region_counts() -> None:
    restored, truth, region = sample()
    elsewhere = torch.where(region, restored, torch.nan)
    for score in (mean_absolute_error, mean_squared_error, psnr):
        assert torch.equal(score(elsewhere, truth, region), score(restored, truth, region))


def test_psnr_is_scikit_images_and_finite_for_a_perfect_picture() -> None:
    restored, truth, _ = sample()
    everywhere = torch.ones(3, 1, 20, 17, dtype=torch.bool)
    found = psnr(restored, truth, everywhere)
    for n in range(3):
        expected = peak_signal_noise_ratio(
            truth[n].numpy(), restored[n].clamp(0, 1).numpy(), data_range=1
        )
        assert found[n].item() == pytest.approx(expected, rel=1e-5)
    assert psnr(truth, truth, everywhere).tolist() == pytest.approx([100.0] * 3)


def skimage_ssim(restored: Tensor, truth: Tensor) -> tuple[float, np.ndarray]:
    """scikit-image's mean, and its map where the window lies in the picture: (H - 10, W - 10, C)."""
    mean, index = structural_similarity(
        truth.movedim(0, 2).numpy(), restored.clamp(0, 1).movedim(0, 2).numpy(), channel_axis=-1, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
    )  # fmt: skip
    return float(mean), index[5:-5, 5:-5]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_ssim_is_scikit_images(
    channels: int, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoration, "BLOCK", 1000)  # several blocks
    _, truth, region = sample(4, channels)
    truth[0] /= 100  # a dark picture, and one of one colour: where rounding would show
    truth[1] = 0.9
    restored = truth + noise * torch.randn_like(truth)
    everywhere = torch.ones(4, 1, 20, 17, dtype=torch.bool)
    whole, parts = ssim(restored, truth, everywhere), ssim(restored, truth, region)
    for n in range(4):
        mean, index = skimage_ssim(restored[n], truth[n])
        assert whole[n].item() == pytest.approx(mean, abs=1e-4)
        inside = region[n, 0, 5:-5, 5:-5].numpy()
        assert parts[n].item() == pytest.approx(index[inside].mean(), abs=1e-4)


def test_ssim_in_float64_is_scikit_images_to_the_last_digits() -> None:
    restored, truth, _ = (part.double() for part in sample(2))
    found = ssim(restored, truth, torch.ones(2, 1, 20, 17, dtype=torch.bool))
    expected = [skimage_ssim(restored[n], truth[n])[0] for n in range(2)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_ssim_of_the_smallest_picture_and_beyond() -> None:
    truth = torch.rand(2, 1, 11, 11)
    region = torch.zeros(2, 1, 11, 11, dtype=torch.bool)
    region[0, 0, 5, 5] = True
    region[1, 0, 4, 5] = True  # no window has its centre there
    found = ssim(truth, truth, region)
    assert found[0].item() == pytest.approx(1.0)
    assert found[1].isnan()
    small = torch.rand(1, 1, 10, 32)
    with pytest.raises(SslcliError, match="11 pixels, the pictures are 10 x 32") as caught:
        ssim(small, small, torch.ones(1, 1, 10, 32, dtype=torch.bool))
    assert "at least 11" in caught.value.fix
    scores = restoration_scores(small, small, torch.ones(1, 1, 10, 32, dtype=torch.bool))
    assert scores.keys() == {"l1", "l2", "psnr"}, "the others need no window"


def test_gradient_magnitude_is_that_of_a_slow_loop() -> None:
    pictures, _, region = sample()
    found = gradient_magnitude(pictures, region)
    for n in range(3):
        lengths = []
        for c in range(3):
            for y in range(19):
                for x in range(16):
                    if region[n, 0, y, x] and region[n, 0, y + 1, x] and region[n, 0, y, x + 1]:
                        here = pictures[n, c, y, x]
                        below, right = (
                            pictures[n, c, y + 1, x] - here,
                            pictures[n, c, y, x + 1] - here,
                        )
                        lengths.append(math.hypot(below.item(), right.item()))
        assert found[n].item() == pytest.approx(sum(lengths) / len(lengths), rel=1e-5)


def test_gradient_magnitude_tells_sharp_from_smooth_and_leaves_out_the_seam() -> None:
    stripes = torch.zeros(1, 1, 16, 16)
    stripes[..., ::2] = 1
    smooth = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
    region = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    region[..., 4:12, 4:12] = True
    assert gradient_magnitude(stripes, region).item() == pytest.approx(1.0)
    assert gradient_magnitude(smooth, region).item() == pytest.approx(1 / 15, rel=1e-4)
    flat_in_the_hole = torch.where(region, 0.5, stripes)
    assert gradient_magnitude(flat_in_the_hole, region).item() == 0.0


def test_restoration_scores_are_means_over_the_pictures() -> None:
    restored, truth, region = sample()
    scores = restoration_scores(restored, truth, region)
    assert list(scores) == ["l1", "l2", "psnr", "ssim"]
    assert scores["l1"] == pytest.approx(
        100 * mean_absolute_error(restored, truth, region).mean().item()
    )
    assert scores["l2"] == pytest.approx(
        100 * mean_squared_error(restored, truth, region).mean().item()
    )
    assert scores["psnr"] == pytest.approx(psnr(restored, truth, region).mean().item())
    assert scores["psnr"] != pytest.approx(-10 * math.log10(scores["l2"] / 100), rel=1e-6)
    assert scores["ssim"] == pytest.approx(ssim(restored, truth, region).mean().item())


def test_a_picture_whose_hole_is_at_the_edge_has_no_ssim_and_the_others_have() -> None:
    restored, truth, region = sample()
    region[1] = False
    region[1, :, 0] = True
    scores = restoration_scores(restored, truth, region)
    assert scores["ssim"] == pytest.approx(ssim(restored, truth, region)[[0, 2]].mean().item())
    assert scores["l1"] == pytest.approx(
        100 * mean_absolute_error(restored, truth, region).mean().item()
    )
