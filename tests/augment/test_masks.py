"""Holes: their form, how much they hide, and that each picture has its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslcli.augment import masks as holes
from sslcli.augment.masks import Masks, squares
from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.errors import SslcliError

CPU = torch.device("cpu")


def make(
    kind: MaskKind, num: int = 64, resolution: int = 28, share: float = 0.25, seed: int = 0
) -> Tensor:
    torch.manual_seed(seed)
    hidden = Masks(kind, share)(num, resolution, CPU)
    assert hidden.shape == (num, 1, resolution, resolution)
    assert hidden.dtype == torch.bool
    return hidden


def shares(hidden: Tensor) -> Tensor:
    return hidden.float().mean(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("resolution", "start", "stop"), [(28, 7, 21), (64, 16, 48), (33, 8, 24), (3, 1, 2)]
)
def test_centre_is_the_middle_square_of_half_the_side(
    resolution: int, start: int, stop: int
) -> None:
    hidden = make(MaskKind.centre, 2, resolution)
    inside = torch.zeros(resolution, dtype=torch.bool)
    inside[start:stop] = True
    assert torch.equal(hidden[1, 0], inside[:, None] & inside)
    if resolution % 4 == 0:
        assert shares(hidden).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("kind", list(MaskKind))
@pytest.mark.parametrize("resolution", [2, 3, 5, 28])
@pytest.mark.parametrize("share", [0.001, 0.25, 0.5])
def test_never_empty_never_full(kind: MaskKind, resolution: int, share: float) -> None:
    hidden = make(kind, 40, resolution, share).flatten(1)
    assert hidden.any(dim=1).all()
    assert not hidden.all(dim=1).any()


@pytest.mark.parametrize("kind", list(MaskKind))
def test_a_steps_precision_does_not_change_them(kind: MaskKind) -> None:
    torch.manual_seed(0)
    expected = make(kind, 64, 28, 0.25)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(make(kind, 64, 28, 0.25), expected)


@pytest.mark.parametrize("kind", [MaskKind.blocks, MaskKind.regions])
@pytest.mark.parametrize("resolution", [16, 28, 65])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_at_most_the_share_is_hidden_and_most_of_it(
    kind: MaskKind, resolution: int, share: float
) -> None:
    hidden = shares(make(kind, 64, resolution, share))
    assert hidden.max() <= share
    assert hidden.min() >= 0.6 * share - 1 / resolution**2
    if kind is MaskKind.blocks:
        assert hidden.mean() > 0.93 * share
    else:  # spread over the range, not all the same
        assert hidden.min() < 0.7 * share
        assert hidden.max() > 0.9 * share


@pytest.mark.parametrize("kind", [MaskKind.blocks, MaskKind.regions])
def test_each_picture_and_each_call_its_own_and_seeded(kind: MaskKind) -> None:
    torch.manual_seed(0)
    masks = Masks(kind, MaskConfig().share)
    first, second = masks(20, 28, CPU), masks(20, 28, CPU)
    assert len(torch.cat([first, second]).flatten(1).unique(dim=0)) == 40
    assert torch.equal(make(kind, 20), first)


@pytest.mark.parametrize(
    ("kind", "least", "most"), [(MaskKind.blocks, 0.05, 0.42), (MaskKind.regions, 0.115, 0.295)]
)
def test_holes_come_everywhere(kind: MaskKind, least: float, most: float) -> None:
    """How often each pixel is hidden: a square is seldom in the very corner; of the regions' grid nothing shows."""
    often = make(kind, 2000, 20).float().mean(dim=0)
    assert often.min() > least
    assert often.max() < most


def test_half_of_the_regions_have_strokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a brush of no width the same draws give other masks for those pictures, and the same for the rest."""
    masks = make(MaskKind.regions, 400)
    monkeypatch.setattr(holes, "STROKE_RADIUS", (0.0, 0.0))
    changed = (make(MaskKind.regions, 400) != masks).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(0.5, abs=0.1)


def largest_squares(hidden: Tensor) -> Tensor:
    """(R, R) side of the largest hidden square whose lower right corner each pixel is."""
    side = torch.zeros(hidden.shape, dtype=torch.long)
    for y in range(len(hidden)):
        for x in range(len(hidden)):
            if hidden[y, x]:
                around = (
                    [int(side[y - 1, x]), int(side[y, x - 1]), int(side[y - 1, x - 1])]
                    if y and x
                    else [0]
                )
                side[y, x] = 1 + min(around)
    return side


def test_blocks_are_several_squares_of_differing_size() -> None:
    """Greedily: take the largest hidden square away until nothing is left; squares that overlap leave some scraps."""
    for hidden in make(MaskKind.blocks, 6, 28)[:, 0]:
        left, sides = hidden.clone(), []
        while left.any():
            side = largest_squares(left)
            corner = int(side.argmax())
            y, x, length = corner // 28, corner % 28, int(side.max())
            left[y - length + 1 : y + 1, x - length + 1 : x + 1] = False
            sides.append(length)
        assert len(sides) >= 3
        assert len(set(sides)) > 1
        assert 4 <= sides[0] <= 14
        assert sum(length**2 for length in sides[:8]) >= 0.8 * int(hidden.sum())


def test_a_lone_square_is_one() -> None:
    """A budget of a pixel leaves room for a square of side one."""
    torch.manual_seed(0)
    assert squares(10, 20, 1 / 400, CPU).sum(dim=(1, 2, 3)).tolist() == [1] * 10


def test_regions_are_connected_forms_and_no_dust() -> None:
    """Nearly every hidden pixel has a hidden neighbour below or to the right; of independent ones fewer than 4 in 10 have."""
    hidden = make(MaskKind.regions, 64, 28)
    has_neighbour = hidden[..., :-1, :-1] & (hidden[..., 1:, :-1] | hidden[..., :-1, 1:])
    assert has_neighbour.sum() / hidden[..., :-1, :-1].sum() > 0.8


@pytest.mark.parametrize("share", [0.0, -0.1, 0.51, float("nan")])
def test_mistakes_are_named(share: float) -> None:
    with pytest.raises(SslcliError, match=r"^method\.masks\.share must be in \(0, 0\.5\]"):
        MaskConfig(share=share)
