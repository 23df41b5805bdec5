"""What people's picture files hold must be there again after reading and saving."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from sslcli.data.picture_file import format_of, read_picture
from sslcli.errors import SslcliError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
ORIENTATION, MAKE, EXIF_IFD, TAKEN, WIDTH = 0x0112, 271, 0x8769, 36867, 256

LOSSLESS = [".png", ".webp", ".tif", ".tiff"]


@cache
def profile() -> bytes:
    """The same at every call: it holds the second in which it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def camera_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[MAKE] = "Camera"
    exif[ORIENTATION] = orientation
    exif[EXIF_IFD] = {TAKEN: "2020:01:01 00:00:00"}
    exif[WIDTH] = 9  # some cameras write it; in a TIFF it is the layout
    loaded = Image.Exif()
    loaded.load(exif.tobytes())  # PIL writes it into a TIFF only as it is in a file
    return loaded


def saved(path: Path, array: np.ndarray[Any, Any], **options: Any) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def png_16(path: Path, colour_type: int, values: np.ndarray[Any, Any]) -> Path:
    """A PNG of 16 bits a channel, which PIL cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("kind", ["grey", "colour", "grey and alpha", "colour and alpha"])
def test_what_is_read_and_saved_is_the_same_to_the_bit(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    array = {"grey": GREY, "colour": COLOUR}.get(kind)
    if array is None:
        array = np.dstack([GREY if kind.startswith("grey") else COLOUR, COLOUR[..., 1]])
    picture = read_picture(saved(tmp_path / "a.png", array))
    assert picture.pixels.shape == (6, 9, 1 if kind.startswith("grey") else 3)
    assert (picture.alpha is not None) == kind.endswith("alpha")
    picture.save(tmp_path / f"b{suffix}", picture.pixels)
    again = read_picture(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(np.broadcast_to(picture.pixels, again.pixels.shape), again.pixels)
    np.testing.assert_array_equal(picture.alpha, again.alpha)
    assert again.format == format_of(tmp_path / f"b{suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.png",
        f"b{suffix}",
    ]  # no temporary file is left


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_read_upright_and_not_turned_again(
    tmp_path: Path, orientation: int
) -> None:
    upright = np.zeros((40, 60, 3), dtype=np.uint8)
    upright[:20, :30] = 255  # bright at the top left
    inverse = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # numbers of PIL's Transpose
    image = Image.fromarray(upright)
    stored = image if inverse is None else image.transpose(Image.Transpose(inverse))
    stored.save(tmp_path / "a.jpg", exif=camera_exif(orientation), quality=95)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.size == (40, 60)
    assert np.abs(picture.pixels.astype(int) - upright).mean() < 4
    for suffix in (".jpg", *LOSSLESS):
        picture.save(tmp_path / f"b{suffix}", picture.pixels)
        again = read_picture(tmp_path / f"b{suffix}")
        assert again.size == (40, 60), suffix
        with Image.open(tmp_path / f"b{suffix}") as image:
            assert image.size == (60, 40), suffix
            assert image.getexif().get(ORIENTATION) == 1, suffix


@pytest.mark.parametrize("suffix", [".jpg", *LOSSLESS])
def test_exif_and_colour_profile_survive(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / "a.jpg", COLOUR, exif=camera_exif(1), icc_profile=profile())
    picture = read_picture(path)
    picture.save(tmp_path / f"b{suffix}", picture.pixels)
    with Image.open(tmp_path / f"b{suffix}") as image:
        image.load()
        assert image.info["icc_profile"] == profile()
        assert image.getexif()[MAKE] == "Camera"
        assert image.getexif().get_ifd(EXIF_IFD)[TAKEN] == "2020:01:01 00:00:00"


@pytest.mark.parametrize("suffix", [".jpg", *LOSSLESS])
def test_a_tiff_of_one_layout_does_not_corrupt_a_file_of_another(
    tmp_path: Path, suffix: str
) -> None:
    path = saved(tmp_path / "a.tif", COLOUR, exif=camera_exif(6), icc_profile=profile())
    picture = read_picture(path)
    assert picture.size == (9, 6)
    picture.save(tmp_path / f"b{suffix}", picture.pixels)
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.getexif().get_ifd(EXIF_IFD)[TAKEN] == "2020:01:01 00:00:00"
    again = read_picture(tmp_path / f"b{suffix}")
    assert again.size == (9, 6)
    assert again.icc_profile == profile()
    if suffix != ".jpg":
        np.testing.assert_array_equal(again.pixels, picture.pixels)


def test_broken_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    picture = read_picture(
        saved(tmp_path / "a.jpg", COLOUR, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0")
    )
    assert picture.size == (6, 9)
    picture.save(tmp_path / "b.png", picture.pixels)


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.gif")
    for name in ("a.png", "a.gif"):
        picture = read_picture(tmp_path / name)
        np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
        assert picture.alpha is None


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_a_transparent_colour_is_alpha(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (4, 4), 0)
    image.putpixel((1, 2), 1 if mode in ("P", "1") else (255 if mode == "L" else (9, 9, 9)))
    if mode == "P":
        image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(tmp_path / "a.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert picture.alpha[2, 1] == 255
    assert picture.alpha.astype(int).sum() == 255
    assert picture.pixels.shape[2] == (1 if mode in ("L", "1") else 3)


def test_black_and_white_is_0_and_255(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / "a.png", np.eye(5, dtype=bool)))
    np.testing.assert_array_equal(picture.pixels[..., 0], np.eye(5) * 255)


def test_16_bits_stay_16(tmp_path: Path) -> None:
    grey = saved(tmp_path / "a.png", np.array([[0, 258, 65535]], dtype=np.uint16))
    assert read_picture(grey).pixels[0, :, 0].tolist() == [0, 258, 65535]
    colour = png_16(tmp_path / "b.png", 2, np.array([[[0, 258, 65535]]]))
    assert read_picture(colour).pixels.tolist() == [[[0, 258, 65535]]]
    assert read_picture(colour).pixels.dtype == np.uint16


def test_of_an_animation_the_first_frame_is_taken_and_it_is_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a.gif")
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert picture.notes == ("only the first of its 3 frames is taken",)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_a_jpeg_is_written_well(tmp_path: Path, suffix: str) -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    smooth = np.stack([rows * 4, columns * 4, 255 - rows * 4], -1).astype(np.uint8)
    picture = read_picture(saved(tmp_path / "a.png", smooth))
    picture.save(tmp_path / f"b{suffix}", picture.pixels)
    assert np.abs(read_picture(tmp_path / f"b{suffix}").pixels.astype(int) - smooth).mean() < 1.5


def test_a_jpeg_holds_no_transparency(tmp_path: Path) -> None:
    clear = read_picture(saved(tmp_path / "a.png", np.dstack([COLOUR, GREY])))
    with pytest.raises(SslcliError, match="transparency"):
        clear.save(tmp_path / "b.jpg", clear.pixels)
    opaque = read_picture(saved(tmp_path / "a.png", np.dstack([COLOUR, np.full_like(GREY, 255)])))
    opaque.save(tmp_path / "b.jpg", opaque.pixels)
    assert read_picture(tmp_path / "b.jpg").size == (6, 9)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / "a.png", COLOUR))
    for name in ("b.gif", "b.xyz", "b"):
        with pytest.raises(SslcliError, match=name):
            picture.save(tmp_path / name, picture.pixels)
    long = Image.Exif()
    long[270] = "x" * 70_000
    many = read_picture(saved(tmp_path / "long.png", COLOUR, exif=long))
    with pytest.raises(SslcliError, match="JPEG"):
        many.save(tmp_path / "b.jpg", many.pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "long.png"]


@pytest.mark.parametrize(
    ("mode", "name", "words"), [("CMYK", "a.jpg", "ink"), ("CMYK", "a.tif", "ink")]
)
def test_pixels_of_another_kind_are_refused(
    tmp_path: Path, mode: str, name: str, words: str
) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / name)
    with pytest.raises(SslcliError, match=words):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_file_cut_off_is_named(tmp_path: Path, suffix: str) -> None:
    whole = RNG.integers(0, 256, (80, 80, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a{suffix}", whole)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SslcliError, match=f"a{suffix}"):
        read_picture(path)


def test_what_is_missing_or_no_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match=r"there is no picture .*gone\.png"):
        read_picture(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    for name in ("text.png", "empty.png"):
        with pytest.raises(SslcliError, match=f"{name} is not a picture"):
            read_picture(tmp_path / name)
    with pytest.raises(SslcliError, match="directory"):
        read_picture(tmp_path)


def test_a_mask_behind_a_picture_does_not_hinder(tmp_path: Path) -> None:
    """GDAL writes one; Pillow does not know it."""
    tifffile = pytest.importorskip("tifffile")
    rgb = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(rgb, photometric="rgb", metadata=None)
        file.write(rgb[..., 0] > 9, photometric="mask", subfiletype=4, metadata=None)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").pixels, rgb)
