"""Baselines that fill holes: the hole as said, the rest untouched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.restoration import inpaint_biharmonic
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.evaluation import fillers
from sslcli.evaluation.fillers import biharmonic, mean_fill, nearest_patch

RESOLUTION = 12


def training_pictures(channels: int, num: int = 60) -> NDArray[np.uint8]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (num, RESOLUTION, RESOLUTION, channels), dtype=np.uint8)


def damaged(channels: int, num: int = 7) -> tuple[Tensor, Tensor]:
    """Pictures and holes, each picture its own."""
    torch.manual_seed(1)
    hidden = torch.zeros(num, 1, RESOLUTION, RESOLUTION, dtype=torch.bool)
    for n in range(num):
        hidden[n, :, 2 : 5 + n % 4, n % 5 : n % 5 + 4] = True
    return torch.rand(num, channels, RESOLUTION, RESOLUTION), hidden


Filler = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(params=["mean", "nearest", "biharmonic"])
def filler(request: pytest.FixtureRequest) -> Filler:
    fills: dict[str, Filler] = {
        "mean": lambda pictures, hidden: mean_fill(pictures, hidden, [0.4, 0.5, 0.6]),
        "nearest": lambda pictures, hidden: nearest_patch(pictures, hidden, training_pictures(3)),
        "biharmonic": biharmonic,
    }
    return fills[str(request.param)]


def test_visible_pixels_stay_and_what_is_in_the_hole_does_not_matter(filler: Filler) -> None:
    pictures, hidden = damaged(3)
    before = pictures.clone()
    filled = filler(pictures, hidden)
    assert filled.shape == pictures.shape
    assert filled.dtype == pictures.dtype
    assert torch.equal(pictures, before)
    assert torch.equal(filled.masked_fill(hidden, 0), pictures.masked_fill(hidden, 0))
    assert not torch.equal(filled, pictures)
    for junk in (7.0, float("nan")):
        assert torch.equal(filler(pictures.masked_fill(hidden, junk), hidden), filled)


def test_mean_fill_is_one_colour_a_channel() -> None:
    pictures, hidden = damaged(3)
    filled = mean_fill(pictures, hidden, (0.1, 0.2, 0.3))
    for channel, value in enumerate((0.1, 0.2, 0.3)):
        assert torch.allclose(filled[:, channel][hidden[:, 0]], torch.tensor(value))


def slow_nearest(picture: Tensor, hole: Tensor, bank: NDArray[np.uint8]) -> int:
    """The row whose pixels differ least where the picture is visible."""
    distances = []
    for other in torch.tensor(bank).permute(0, 3, 1, 2).double() / 255:
        distances.append(float((picture.double() - other).square()[:, ~hole[0]].sum()))
    return distances.index(min(distances))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("block", [10**6, 2000])
def test_nearest_patch_is_that_of_a_slow_loop(
    channels: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fillers, "BLOCK", block)  # the bank at once, and a few pictures at a time
    bank = training_pictures(channels)
    pictures, hidden = damaged(channels)
    filled = nearest_patch(pictures, hidden, bank)
    rows = [
        slow_nearest(picture, hole, bank) for picture, hole in zip(pictures, hidden, strict=True)
    ]
    assert len(set(rows)) > 2
    expected = torch.tensor(bank[rows]).permute(0, 3, 1, 2) / 255
    assert torch.equal(filled, torch.where(hidden, expected, pictures))


def test_nearest_patch_finds_the_picture_itself_by_its_visible_part() -> None:
    bank = training_pictures(1)
    bank.setflags(write=False)
    truth = torch.tensor(bank[[3, 59, 0, 17]]).permute(0, 3, 1, 2) / 255
    _, hidden = damaged(1, 4)
    torch.testing.assert_close(
        nearest_patch(truth.masked_fill(hidden, 0.5), hidden, bank), truth, rtol=0, atol=0
    )


def test_of_equally_near_pictures_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fillers, "BLOCK", 2 * RESOLUTION**2)
    bank = np.full((5, RESOLUTION, RESOLUTION, 1), 255, np.uint8)
    pictures, hidden = torch.ones(1, 1, RESOLUTION, RESOLUTION), damaged(1, 1)[1]
    hole = hidden[0, 0].numpy()
    bank[:, hole] = np.array([10, 20, 30, 40, 50], np.uint8).reshape(5, 1, 1)
    bank[0] = 0
    assert nearest_patch(pictures, hidden, bank)[hidden].unique().tolist() == [
        pytest.approx(20 / 255)
    ]


def test_biharmonic_is_scikit_images_and_is_tracked() -> None:
    pictures, hidden = damaged(3, 3)
    seen: list[tuple[int, str]] = []

    def track(items: Iterable[object], *, total: int, label: str) -> Iterable[object]:
        seen.append((total, label))
        return items

    filled = biharmonic(pictures, hidden, track)
    assert seen == [(3, "biharmonic inpainting")]
    for n in range(3):
        expected = inpaint_biharmonic(
            pictures[n].movedim(0, 2).numpy(), hidden[n, 0].numpy(), channel_axis=-1
        )
        np.testing.assert_allclose(filled[n].movedim(0, 2).numpy(), expected, atol=1e-5)


def test_biharmonic_continues_a_slope() -> None:
    slope = torch.linspace(0.1, 0.9, RESOLUTION).expand(2, 1, RESOLUTION, RESOLUTION)
    _, hidden = damaged(1, 2)
    torch.testing.assert_close(
        biharmonic(slope.masked_fill(hidden, 0), hidden), slope, atol=0.02, rtol=0
    )


def test_without_scikit_image_the_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(SslcliError, match="needs scikit-image") as caught:
        biharmonic(*damaged(1))
    assert caught.value.fix == "pip install 'sslcli[inpainting]'"
