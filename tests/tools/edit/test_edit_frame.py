"""A change of the network's square lands where the square was cut, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from doubles import PREPROCESSING
from editing import RNG, file_of
from numpy.typing import NDArray

from sslcli.data.resize import MIDDLE, Framing, resized
from sslcli.data.shape import Shape
from sslcli.errors import SslcliError
from sslcli.tools.edit.frame import Fed, Framed

PAD = Framing(Shape.pad, 0.5)


def framed(pixels: NDArray[Any], framing: Framing = MIDDLE, **fed: Any) -> Framed:
    return Fed(replace(PREPROCESSING, **fed), framing).opened(file_of(pixels))


def noise(*shape: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(16, 16), (40, 40), (24, 31), (31, 24), (9, 50)])
@pytest.mark.parametrize("framing", [MIDDLE, PAD])
def test_the_square_is_what_training_was_fed(shape: tuple[int, int], framing: Framing) -> None:
    pixels = noise(*shape, 3)
    wanted = torch.from_numpy(resized(pixels, 16, framing).copy()).permute(2, 0, 1) / 255
    assert torch.equal(framed(pixels, framing).square(), wanted)


def test_a_picture_of_the_networks_size_is_changed_exactly() -> None:
    pixels = noise(16, 16, 3)
    change = torch.zeros(3, 16, 16)
    change[1, 2, 5] = 0.25
    opened = framed(np.full_like(pixels, 100))
    after = opened.changed(opened.enlarged(change))
    assert after[2, 5].tolist() == [100, 164, 100]
    after[2, 5, 1] = 100
    assert (after == 100).all()


@pytest.mark.parametrize(("shape", "there"), [((20, 40), (slice(0, 20), slice(10, 30))), ((41, 20), (slice(10, 30), slice(0, 20)))])  # fmt: skip
def test_only_the_middle_square_changes_and_the_change_fades(
    shape: tuple[int, int], there: tuple[slice, slice]
) -> None:
    pixels = noise(*shape, 3)
    opened = framed(pixels)
    placed = opened.enlarged(torch.full((3, 16, 16), 0.5))
    inside = np.zeros(shape, dtype=bool)
    inside[there] = True
    assert (placed[~inside] == 0).all()
    assert (placed[inside] > 0).all()
    assert placed.max() == 0.5
    along = placed[10, :, 0] if shape[1] > shape[0] else placed[:, 10, 0]
    assert along[10] < along[12] == 0.5, "it fades at the square's border"
    across = placed[:, 20, 0] if shape[1] > shape[0] else placed[20, :, 0]
    assert (across == 0.5).all(), "the picture ends there, and nothing fades"
    assert (opened.changed(placed)[~inside] == pixels[~inside]).all()


def test_with_borders_all_of_the_picture_changes() -> None:
    opened = framed(noise(10, 32, 3), PAD)
    change = torch.zeros(3, 16, 16)
    change[:, :, 8:] = 0.5
    placed = opened.enlarged(change)
    assert placed.shape == (10, 32, 3)
    assert (placed[:, :14] == 0).all()
    assert (placed[:, 18:] == 0.5).all()


def test_grey_and_coloured_pictures_serve_networks_of_the_other_kind() -> None:
    grey_network = {"channels": 1, "mean": (0.0,), "std": (1.0,)}
    opened = framed(np.array([[[255, 0, 0]]], np.uint8).repeat(16, 0).repeat(16, 1), **grey_network)
    assert opened.square().shape == (1, 16, 16)
    assert float(opened.square()[0, 3, 3]) == pytest.approx(76 / 255)
    changed = opened.changed(opened.enlarged(torch.full((1, 16, 16), -0.2)))
    assert changed[5, 5].tolist() == [204, 0, 0], "every colour gets the change, cut at black"
    opened = framed(noise(16, 16, 1))
    square = opened.square()
    assert torch.equal(square[0], square[2])
    change = torch.stack([torch.full((16, 16), value) for value in (0.1, 0.2, 0.3)])
    np.testing.assert_allclose(opened.enlarged(change), 0.2)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "int16"])
def test_no_change_keeps_every_value_and_others_keep_their_type(kind: str) -> None:
    ends = (-1000.0, 3000.0) if kind == "int16" else None
    low, high = ends or {"uint8": (0, 255), "uint16": (0, 65535), "float32": (0, 1)}[kind]
    pixels = (RNG.random((20, 30, 3)) * (high - low) + low).astype(kind)
    if kind == "int16":
        pixels[0, 0] = 3100  # beyond white: it stays so
    opened = framed(pixels, range=ends)
    np.testing.assert_array_equal(opened.changed(np.zeros(pixels.shape)), pixels)
    after = opened.changed(np.full(pixels.shape, 0.25))
    assert after.dtype == kind
    wanted = np.minimum(pixels + 0.25 * (high - low), np.maximum(high, pixels))
    np.testing.assert_allclose(after, wanted, atol=1 if kind != "float32" else 1e-6)


def test_what_is_transparent_is_seen_on_white() -> None:
    pixels, alpha = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    alpha[:, :8] = 255
    opened = Fed(PREPROCESSING, MIDDLE).opened(file_of(pixels, alpha))
    assert (opened.square()[:, :, :8] == 0).all()
    assert (opened.square()[:, :, 8:] == 1).all()


def test_other_channels_are_refused() -> None:
    with pytest.raises(SslcliError, match="has 4 channels, the network was trained on 3"):
        framed(noise(16, 16, 4))
