"""Masks: found by their pictures' names, cut and resized as these are, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.decode import decoded_pixels
from sslcli.data.folder import FolderConfig
from sslcli.data.images import ImageSet
from sslcli.data.table import TableConfig
from sslcli.errors import SslcliError
from sslcli.evaluation.mask_files import masks_of


def blocks() -> NDArray[np.uint8]:
    """A mask of 24 x 36 pixels, in blocks of 6 that hold 0, 1, 2 or 255."""
    chosen = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (4, 6))
    return chosen.repeat(6, axis=0).repeat(6, axis=1)


@pytest.fixture
def part(tmp_path: Path) -> ImageSet:
    """A picture in a folder, of which the pixels matter to no test but through its file."""
    (tmp_path / "photos/a").mkdir(parents=True)
    (tmp_path / "masks/a").mkdir(parents=True)
    path = tmp_path / "photos/a/1.bmp"
    Image.fromarray(blocks()).save(path)
    return ImageSet(np.zeros((1, 12, 12, 1), np.uint8), paths=(str(path),))


def read(part: ImageSet, tmp_path: Path) -> NDArray[np.uint8]:
    return masks_of(part, tmp_path / "photos", tmp_path / "masks")[:]


@pytest.mark.parametrize("name", ["1.png", "1.bmp"])
def test_a_mask_is_cut_and_shrunk_as_its_picture(part: ImageSet, tmp_path: Path, name: str) -> None:
    Image.fromarray(blocks()).save(tmp_path / "masks/a" / name)
    (found,) = read(part, tmp_path)
    # The middle 24 x 24 pixels, every second one; no value is mixed from two.
    np.testing.assert_array_equal(found, blocks()[::2, 6:30:2])
    assert part.paths is not None
    pixels, _ = decoded_pixels(part.paths[0], 12, 1)
    inner = np.ix_([1, 4, 7, 10], [1, 4, 7, 10])
    np.testing.assert_allclose(pixels[..., 0][inner], found[inner], atol=20)


@pytest.mark.parametrize("mode", ["1", "P"])
def test_palettes_and_bits_are_numbers(part: ImageSet, tmp_path: Path, mode: str) -> None:
    values = blocks() % 2
    mask = Image.fromarray(values)
    if mode == "P":
        mask.putpalette([200, 0, 0, 0, 200, 0])
    else:
        mask = Image.fromarray(values.astype(bool))
    assert mask.mode == mode
    mask.save(tmp_path / "masks/a/1.png")
    np.testing.assert_array_equal(read(part, tmp_path)[0], values[::2, 6:30:2])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_mask_is_of_the_picture_as_it_is_seen(
    part: ImageSet, tmp_path: Path, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = tmp_path / f"photos/a/2{suffix}"
    Image.fromarray(blocks()).transpose(Image.Transpose.ROTATE_90).save(lying, exif=exif)
    Image.fromarray(blocks()).save(tmp_path / "masks/a/2.png")
    turned = ImageSet(part.images, paths=(str(lying),))
    np.testing.assert_array_equal(read(turned, tmp_path)[0], blocks()[::2, 6:30:2])


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, "1 of 1 pictures have no mask in"),
        (Image.new("RGB", (36, 24)), "1.png is no mask: it is stored as RGB"),
        (Image.new("L", (24, 36)), "1.png is 24x36 pixels, and its picture has another size"),
        (b"\x89PNG\r\n\x1a\n", "1.png cannot be read: "),
    ],
)
def test_what_is_no_mask_is_refused(
    part: ImageSet, tmp_path: Path, mask: Image.Image | bytes | None, words: str
) -> None:
    path = tmp_path / "masks/a/1.png"
    if isinstance(mask, Image.Image):
        mask.save(path)
    elif mask is not None:
        path.write_bytes(mask)
    with pytest.raises(SslcliError, match=words):
        read(part, tmp_path)


def test_pictures_of_a_table_lie_below_its_folder_or_another(tmp_path: Path) -> None:
    table = str(tmp_path / "data.csv")
    assert TableConfig(root=table).picture_folder() == tmp_path
    assert TableConfig(root=table, pictures="/photos").picture_folder() == Path("/photos")
    assert FolderConfig(root=str(tmp_path)).picture_folder() == tmp_path
