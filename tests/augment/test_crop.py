"""Crops against torchvision: the same pixels for the same box, and the same distribution of boxes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

from sslcli.augment.crop import RandomCrop, resized_crop


@pytest.mark.parametrize(("channels", "side"), [(3, 32), (1, 28), (3, 17)])
def test_crops_equal_torchvisions(channels: int, side: int) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (6, side, side, channels), dtype=torch.uint8)
    boxes = RandomCrop((0.02, 1.0), (0.3, 3.0)).sample(18, side)
    boxes[0] = torch.tensor([0, 0, side, side])
    boxes[1] = torch.tensor([side - 1, side - 1, 1, 1])
    boxes[2] = torch.tensor([3, 0, 1, side])
    flipped = torch.arange(18) % 2 == 0
    views = resized_crop(images, boxes, flipped)
    assert views.shape == (18, channels, side, side)
    floats = images.permute(0, 3, 1, 2) / 255
    for i, view in enumerate(views):
        expected = tv.resized_crop(
            floats[i % 6], *boxes[i].tolist(), size=[side, side], antialias=True
        )
        expected = tv.horizontal_flip(expected) if flipped[i] else expected
        torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("side", "smaller"), [(28, 12), (17, 16), (32, 5)])
def test_smaller_crops_equal_torchvisions(side: int, smaller: int) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (6, side, side, 3), dtype=torch.uint8)
    boxes = RandomCrop((0.02, 1.0), (0.3, 3.0)).sample(18, side)
    boxes[0] = torch.tensor([0, 0, side, side])
    boxes[1] = torch.tensor([side - 1, side - 1, 1, 1])
    boxes[2] = torch.tensor([3, 0, 1, side])
    flipped = torch.arange(18) % 2 == 0
    views = resized_crop(images, boxes, flipped, smaller)
    assert views.shape == (18, 3, smaller, smaller)
    floats = images.permute(0, 3, 1, 2) / 255
    for i, view in enumerate(views):
        expected = tv.resized_crop(
            floats[i % 6], *boxes[i].tolist(), size=[smaller, smaller], antialias=True
        )
        expected = tv.horizontal_flip(expected) if flipped[i] else expected
        torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)


def torchvision_boxes(
    scale: tuple[float, float], ratio: tuple[float, float], count: int, side: int
) -> Tensor:
    image = torch.empty(1, side, side)
    return torch.tensor(
        [RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(count)]
    )


def largest_gap(a: Tensor, b: Tensor) -> float:
    """The Kolmogorov-Smirnov statistic: the largest distance between the two cumulative distributions."""
    points = torch.cat([a, b]).unique()
    below_a = torch.searchsorted(a.sort().values, points, right=True) / len(a)
    below_b = torch.searchsorted(b.sort().values, points, right=True) / len(b)
    return float((below_a - below_b).abs().max())


@pytest.mark.parametrize(
    ("scale", "ratio"),
    [
        ((0.08, 1.0), (3 / 4, 4 / 3)),
        ((0.4, 1.0), (3 / 4, 4 / 3)),
        ((0.9, 1.0), (0.5, 2.0)),  # many attempts fail: some pictures fall back to the central box
    ],
)
def test_boxes_are_distributed_as_torchvisions(
    scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    torch.manual_seed(0)
    theirs = torchvision_boxes(scale, ratio, 3000, 32)
    ours = RandomCrop(scale, ratio).sample(30000, 32)
    # 1.95 * sqrt(1/3000 + 1/30000): two samples of one distribution differ by more once in a thousand times.
    for name, a, b in zip(
        ("top", "left", "height", "width"), ours.unbind(1), theirs.unbind(1), strict=True
    ):
        assert largest_gap(a, b) < 0.037, name
    assert largest_gap(ours[:, 2] * 100 + ours[:, 3], theirs[:, 2] * 100 + theirs[:, 3]) < 0.037
    assert largest_gap(ours[:, 0] - ours[:, 1], theirs[:, 0] - theirs[:, 1]) < 0.037


@pytest.mark.parametrize("ratio", [(3.0, 4.0), (0.2, 0.3), (0.9, 1.1)])
def test_where_no_attempt_fits_the_box_is_torchvisions_central_one(
    ratio: tuple[float, float],
) -> None:
    scale = (1.0, 1.0) if ratio[0] > 1 or ratio[1] < 1 else (1.21, 1.21)
    theirs = torchvision_boxes(scale, ratio, 1, 32)
    ours = RandomCrop(scale, ratio).sample(5, 32)
    torch.testing.assert_close(ours, theirs.expand(5, 4))


def test_boxes_lie_inside_the_picture() -> None:
    torch.manual_seed(0)
    top, left, height, width = RandomCrop((0.01, 1.0), (0.1, 10.0)).sample(20000, 9).unbind(1)
    assert int(height.min()) >= 1
    assert int(width.min()) >= 1
    assert int(top.min()) == 0
    assert int(left.min()) == 0
    assert int((top + height).max()) == 9
    assert int((left + width).max()) == 9
