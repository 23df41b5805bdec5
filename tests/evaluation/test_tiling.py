"""Pictures of any size by tiles of one size: no seams, nothing outside the hole touched, large holes from coarse to fine."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslcli.evaluation.tiling import restored

SIZES = [(16, 16), (40, 23), (5, 7), (1, 1), (1, 50), (33, 1), (17, 90)]


def picture(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(
        channels, height, width, generator=torch.Generator().manual_seed(height * 100 + width)
    )


def box(height: int, width: int, top: int, left: int, side: int) -> Tensor:
    hidden = torch.zeros(1, height, width, dtype=torch.bool)
    hidden[:, top : top + side, left : left + side] = True
    return hidden


def identity(damaged: Tensor, hidden: Tensor) -> Tensor:
    return damaged


def constant(damaged: Tensor, hidden: Tensor) -> Tensor:
    return torch.full_like(damaged, 0.3)


def mean_of_visible(damaged: Tensor, hidden: Tensor) -> Tensor:
    """Fails where a tile has nothing visible, as a context encoder would."""
    visible = (~hidden).float()
    assert bool((visible.flatten(1).sum(dim=1) > 0).all())
    means = (damaged * visible).sum(dim=(2, 3), keepdim=True) / visible.sum(
        dim=(2, 3), keepdim=True
    )
    return means.expand_as(damaged)


class Counting:
    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, damaged: Tensor, hidden: Tensor) -> Tensor:
        assert damaged.shape[2:] == hidden.shape[2:] == (16, 16)
        assert hidden.dtype == torch.bool
        self.batches.append(len(damaged))
        return damaged


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_identity_leaves_any_picture_as_it_is(size: tuple[int, int]) -> None:
    whole = torch.ones(1, *size, dtype=torch.bool)
    torch.testing.assert_close(restored(picture(*size), whole, identity, 16), picture(*size))


@pytest.mark.parametrize("resolution", [15, 16])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_constant_fills_any_picture_without_seams(size: tuple[int, int], resolution: int) -> None:
    whole = torch.ones(1, *size, dtype=torch.bool)
    result = restored(picture(*size), whole, constant, resolution)
    torch.testing.assert_close(result, torch.full((3, *size), 0.3))


def test_outside_the_hole_nothing_changes_by_one_bit() -> None:
    source, hidden = picture(70, 90), box(70, 90, 11, 20, 41)
    before = source.clone()
    result = restored(source, hidden, constant, 16)
    assert torch.equal(source, before)
    assert torch.equal(result[:, ~hidden[0]], source[:, ~hidden[0]])
    assert (result[:, hidden[0]] != source[:, hidden[0]]).all()


def test_a_small_hole_is_filled_by_the_network_alone() -> None:
    hidden = box(40, 50, 13, 21, 5)
    result = restored(picture(40, 50), hidden, constant, 16)
    torch.testing.assert_close(result[:, hidden[0]], torch.full((3, 25), 0.3))


def test_only_tiles_that_touch_the_hole_are_computed() -> None:
    count = Counting()
    restored(picture(160, 160), box(160, 160, 81, 81, 4), count, 16)
    assert sum(count.batches) == 4  # half a tile apart, so four tiles hold a pixel


def test_nothing_hidden_nothing_computed() -> None:
    count = Counting()
    source = picture(40, 40)
    assert torch.equal(
        restored(source, torch.zeros(1, 40, 40, dtype=torch.bool), count, 16), source
    )
    assert count.batches == []


def test_no_batch_is_larger_than_asked_and_its_size_changes_nothing() -> None:
    count = Counting()
    whole = torch.ones(1, 60, 60, dtype=torch.bool)
    restored(picture(60, 60), whole, count, 16, batch_size=10)
    assert max(count.batches) == 10
    assert sum(count.batches) == 49

    def darker(damaged: Tensor, hidden: Tensor) -> Tensor:
        return damaged * torch.linspace(0, 1, 16)

    few, many = (restored(picture(60, 60), whole, darker, 16, batch_size=size) for size in (3, 100))
    assert torch.equal(few, many)


def test_blending_is_smooth_where_tiles_disagree() -> None:
    """Every tile has a brightness of its own; a hard border between two would be a jump of up to 1."""

    def by_content(damaged: Tensor, hidden: Tensor) -> Tensor:
        return (damaged.mean(dim=(1, 2, 3), keepdim=True) > 0.5).float().expand_as(damaged)

    source = torch.linspace(0, 1, 96).expand(1, 32, 96)
    result = restored(source, torch.ones(1, 32, 96, dtype=torch.bool), by_content, 16)
    assert result.amin() == 0
    assert result.amax() == pytest.approx(1)
    assert (result[:, :, 1:] - result[:, :, :-1]).abs().amax() < 0.25


@pytest.mark.parametrize("side", [12, 30, 60, 75])
def test_a_hole_far_larger_than_a_tile_is_filled_from_its_surroundings(side: int) -> None:
    hidden = box(80, 100, 2, 9, side)
    source = torch.where(hidden, 1.0, torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1))
    result = restored(source, hidden, mean_of_visible, 16)
    torch.testing.assert_close(
        result, torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1).expand(3, 80, 100)
    )


def test_a_large_hole_between_dark_and_bright_goes_from_dark_to_bright() -> None:
    hidden = torch.zeros(1, 64, 128, dtype=torch.bool)
    hidden[:, :, 24:104] = True
    source = torch.cat(
        [torch.full((1, 64, 64), 0.1), torch.full((1, 64, 64), 0.9)], dim=2
    ).masked_fill(hidden, 0.5)

    def near_columns(damaged: Tensor, hidden: Tensor) -> Tensor:
        place, visible = torch.arange(32.0), (~hidden).float()
        nearness = torch.exp(-(place[:, None] - place[None, :]).abs() / 3)
        return (damaged * visible) @ nearness / (visible @ nearness)

    middle = restored(source, hidden, near_columns, 32)[0, 32]
    assert middle[26] < 0.25
    assert middle[101] > 0.75
    assert (middle[1:] - middle[:-1]).abs().max() < 0.2


@pytest.mark.parametrize("pattern", ["dots", "columns", "all but one pixel"])
def test_a_mask_that_leaves_little_still_has_visible_pixels_in_every_tile(pattern: str) -> None:
    hidden = torch.ones(1, 90, 70, dtype=torch.bool)
    if pattern == "dots":
        hidden[:, ::3, ::3] = False
    elif pattern == "columns":
        hidden[:, :, ::5] = False
    else:
        hidden[:, 50, 3] = False
    source = torch.where(hidden, 0.0, 0.7).expand(3, -1, -1)
    torch.testing.assert_close(
        restored(source, hidden, mean_of_visible, 16), torch.full((3, 90, 70), 0.7)
    )


@pytest.mark.parametrize("size", [(1, 200), (300, 2), (9, 11)], ids=str)
def test_large_holes_in_odd_shapes(size: tuple[int, int]) -> None:
    hidden = torch.ones(1, *size, dtype=torch.bool)
    hidden[:, -1, -3:] = False
    source = torch.where(hidden, 0.0, 0.7)
    torch.testing.assert_close(
        restored(source, hidden, mean_of_visible, 16), torch.full((1, *size), 0.7)
    )
