"""Each change of colour against torchvision's function, picture by picture with its own factor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from sslcli.augment import colour
from sslcli.augment.colour import ColourJitter

ADJUSTMENTS = [
    (colour.adjust_brightness_, tv.adjust_brightness, [0.0, 0.3, 1.0, 1.2, 1.8]),
    (colour.adjust_contrast_, tv.adjust_contrast, [0.0, 0.3, 1.0, 1.2, 1.8]),
    (colour.adjust_saturation_, tv.adjust_saturation, [0.0, 0.3, 1.0, 1.2, 1.8]),
    (colour.adjust_hue_, tv.adjust_hue, [-0.5, -0.23, 0.0, 0.1, 0.5]),
]


def pictures(channels: int) -> Tensor:
    """(5, C, 400) floats. The colour ones hold black, white, grey and pixels where two channels are equal."""
    torch.manual_seed(0)
    images = torch.rand(5, channels, 20, 20)
    images[:, :, :8] = torch.randint(0, 3, (5, channels, 8, 20)) / 2
    return images.flatten(2)


@pytest.mark.parametrize(("ours_", "theirs", "values"), ADJUSTMENTS)
def test_adjustments_equal_torchvisions(
    ours_: Callable[[Tensor, Tensor], None],
    theirs: Callable[[Tensor, float], Tensor],
    values: list[float],
) -> None:
    images = pictures(3)
    changed = images.clone()
    ours_(changed, torch.tensor(values))
    for before, after, value in zip(images, changed, values, strict=True):
        expected = theirs(before.view(3, 20, 20), value).flatten(1)
        torch.testing.assert_close(after, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("ours_", "theirs", "values"), ADJUSTMENTS[:2])
def test_adjustments_of_grey_pictures_equal_torchvisions(
    ours_: Callable[[Tensor, Tensor], None],
    theirs: Callable[[Tensor, float], Tensor],
    values: list[float],
) -> None:
    images = pictures(1)
    changed = images.clone()
    ours_(changed, torch.tensor(values))
    for before, after, value in zip(images, changed, values, strict=True):
        expected = theirs(before.view(1, 20, 20), value).flatten(1)
        torch.testing.assert_close(after, expected, atol=1e-5, rtol=0)


def test_every_hue_turns_as_torchvisions() -> None:
    """The whole circle of hues at three saturations, turned by many angles."""
    angles = torch.linspace(-0.5, 0.5, 41)
    hue = torch.linspace(0, 2 * torch.pi, 721)
    wheel = torch.stack([(hue + shift).cos() for shift in (0, 2, 4)]) * 0.5 + 0.5
    images = torch.cat([wheel, wheel * 0.1 + 0.5, wheel * 1e-3 + 0.9], 1).repeat(41, 1, 1)
    changed = images.clone()
    colour.adjust_hue_(changed, angles)
    for before, after, angle in zip(images, changed, angles.tolist(), strict=True):
        expected = tv.adjust_hue(before.unsqueeze(2), angle).squeeze(2)
        torch.testing.assert_close(after, expected, atol=1e-5, rtol=0)


def test_grayscale_equals_torchvisions_and_touches_only_the_chosen() -> None:
    images = pictures(3)
    changed = images.clone()
    colour.grayscale_(changed, torch.tensor([True, False, False, True, False]))
    for i in (0, 3):
        expected = tv.rgb_to_grayscale(images[i].unsqueeze(2), 3).squeeze(2)
        torch.testing.assert_close(changed[i], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(changed[[1, 2, 4]], images[[1, 2, 4]], atol=0, rtol=0)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8])
def test_solarize_equals_torchvisions_and_touches_only_the_chosen(threshold: float) -> None:
    images = pictures(3)
    changed = images.clone()
    colour.solarize_(changed, torch.tensor([False, True, False, True, False]), threshold)
    for i in (1, 3):
        torch.testing.assert_close(changed[i], tv.solarize(images[i], threshold), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed[[0, 2, 4]], images[[0, 2, 4]], atol=0, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_makes_each_pictures_changes_in_its_own_order(channels: int) -> None:
    torch.manual_seed(0)
    jitter = ColourJitter(0.8, 0.8, 0.8, 0.8, 0.2)
    images = torch.rand(60, channels, 64)
    order, factors = jitter.sample(60, channels)
    changed = jitter.apply(images.clone(), order, factors)
    theirs = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue]
    for i in range(60):
        expected = images[i].view(channels, 8, 8)
        for which in order[i].tolist():
            if which < order.shape[1]:
                expected = theirs[which](expected, float(factors[i, which]))
        torch.testing.assert_close(changed[i], expected.flatten(1), atol=1e-5, rtol=0)


def test_orders_are_uniform_and_factors_fill_their_ranges() -> None:
    torch.manual_seed(0)
    order, factors = ColourJitter(0.75, 1.5, 0.4, 0.2, 0.1).sample(24000, 3)
    left_alone = (order == 4).all(1)
    assert bool(((order == 4).any(1) == left_alone).all())
    assert float(left_alone.float().mean()) == pytest.approx(0.25, abs=0.01)
    kinds, counts = order[~left_alone].unique(dim=0, return_counts=True)
    assert len(kinds) == 24
    torch.testing.assert_close(counts.float(), torch.full((24,), 18000 / 24), atol=130, rtol=0)
    for column, (low, high) in zip(
        factors.unbind(1), [(0, 2.5), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)], strict=True
    ):
        quantiles = torch.quantile(column, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
        expected = torch.linspace(low, high, 5)
        torch.testing.assert_close(quantiles, expected, atol=0.02 * (high - low), rtol=0)


def test_a_strength_of_zero_leaves_no_adjustment() -> None:
    assert len(ColourJitter(0.8, 0.4, 0.0, 0.4, 0.0).adjustments(3)) == 2
    assert len(ColourJitter(0.8, 0.4, 0.4, 0.4, 0.1).adjustments(1)) == 2
    assert ColourJitter(0.0, 0.4, 0.4, 0.4, 0.1).adjustments(3) == []
