"""A user's files are read as a run's own pictures were, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.data.decode import DecodeOptions
from sslcli.data.depth import Depth
from sslcli.errors import SslcliError
from sslcli.method import Preprocessing
from sslcli.trained.picture_reader import PictureReader, depth_of


def test_floats_are_refused_whose_black_and_white_nobody_named(tmp_path: Path) -> None:
    depth = depth_of(Preprocessing(8, 2, (0.5, 0.5), (0.5, 0.5), range=(0.0, 1.0)))
    reader = PictureReader(DecodeOptions(8, 2, 1, depth))
    values = np.random.default_rng(0).random((8, 8, 2)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(reader(tmp_path / "a.npy").pixels, values)
    np.save(tmp_path / "b.npy", values * 2)
    with pytest.raises(SslcliError, match="say what is black and white"):
        reader(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("of_run", "white"), [((0.0, 65535.0), 65535), ((0.0, 1.0), 1.0), ((0.0, 1000.0), 0.255)]
)
def test_a_file_of_8_bits_is_no_darker_in_a_run_of_deeper_ones(
    tmp_path: Path, of_run: tuple[float, float], white: float
) -> None:
    """Its white is white, but where a run's values mean something by themselves."""
    Image.new("L", (8, 8), 255).save(tmp_path / "a.png")
    depth = depth_of(Preprocessing(8, 1, (0.5,), (0.5,), range=of_run))
    found = PictureReader(DecodeOptions(8, 1, 1, depth))(tmp_path / "a.png")
    np.testing.assert_allclose(found.pixels, white)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_picture_is_as_large_as_it_is_seen(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 8)).save(tmp_path / f"a.{suffix}", exif=exif)
    found = PictureReader(DecodeOptions(8, 3, 1))(tmp_path / f"a.{suffix}")
    assert (found.width, found.height) == (8, 20)


def test_colour_becomes_grey_for_a_grey_run_and_it_is_said(tmp_path: Path) -> None:
    depth = Depth("uint16", 1, (0.0, 65535.0), cuts=True, makes_grey=True)
    np.save(tmp_path / "a.npy", np.full((8, 8, 3), 1000, np.uint16))
    found = PictureReader(DecodeOptions(8, 1, 1, depth))(tmp_path / "a.npy")
    np.testing.assert_array_equal(found.pixels, np.full((8, 8, 1), 1000))
    assert "in colour, and become grey, as the run's pictures were" in found.notes
