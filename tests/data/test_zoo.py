"""A zoo of pictures: every kind is decoded to what a slow reference gives, or named as broken.

The files are written byte by byte, or by Pillow from pixels that are known; S = 8 pixels a side, so
that nothing is resized.
"""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from photos import decoded_files
from PIL import Image, ImageCms

from sslcli.archives.file_bytes import read_bytes
from sslcli.data.decode import GREY, DecodeOptions, decode, kind_of
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.picture_file import read_picture
from sslcli.errors import SslcliError

S = 8
RNG = np.random.default_rng(7)
Pixels = NDArray[Any]

GREY8 = RNG.integers(0, 256, (S, S)).astype(np.uint8)
GREY16 = RNG.integers(0, 65536, (S, S)).astype(np.uint16)
GREY12 = RNG.integers(0, 4096, (S, S))
RGB8 = RNG.integers(0, 256, (S, S, 3)).astype(np.uint8)
RGB16 = RNG.integers(0, 65536, (S, S, 3)).astype(np.uint16)
ALPHA = RNG.integers(0, 256, (S, S)).astype(np.uint8)
ALPHA[:2] = [[0] * S, [255] * S]
BITS = RNG.integers(0, 2, (S, S)).astype(np.uint8)
SMOOTH = np.stack(
    [np.add.outer(np.arange(S), np.arange(S)) * 15, np.full((S, S), 90), np.full((S, S), 200)], -1
).astype(np.uint8)


def scaled(pixels: Pixels, most: int) -> Pixels:
    """0..most -> 0..255, the nearest."""
    return np.vectorize(lambda value: int(value) * 255 / most)(pixels).round().astype(np.uint8)


def on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """One number at a time: colour * alpha + white * (1 - alpha)."""
    result = np.empty_like(pixels)
    for place in np.ndindex(pixels.shape):
        opacity = int(alpha[place[:2]]) / 255
        result[place] = round(int(pixels[place]) * opacity + 255 * (1 - opacity))
    return result


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def packed(values: Pixels, bits: int) -> list[bytes]:
    """Rows of numbers of so many bits, the highest first."""
    rows = []
    for row in values.reshape(len(values), -1):
        text = "".join(f"{int(value):0{bits}b}" for value in row)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return rows


def png(values: Pixels, bits: int, colour_type: int, transparent: tuple[int, ...] = ()) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", S, S, bits, colour_type, 0, 0, 0)
    key = struct.pack(f">{len(transparent)}H", *transparent)
    data = zlib.compress(b"".join(b"\0" + row for row in packed(values, bits)))
    chunks = [chunk(b"IHDR", header), *([chunk(b"tRNS", key)] if transparent else [])]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")])


def tiff(
    data: bytes,
    bits: list[int],
    photometric: int,
    order: str = "<",
    planes: bool = False,
    **tags: int,
) -> bytes:
    """An uncompressed TIFF. `tags`: sample_format, extra."""
    count = len(bits)
    strips = count if planes else 1
    length = len(data) // strips
    short, long = 3, 4
    entries = [
        (256, long, [S]), (257, long, [S]), (258, short, bits), (259, short, [1]),
        (262, short, [photometric]), (273, long, [8 + length * i for i in range(strips)]),
        (277, short, [count]), (278, long, [S]), (279, long, [length] * strips),
        (284, short, [2 if planes else 1]),
    ]  # fmt: skip
    entries += [(338, short, [tags["extra"]])] if "extra" in tags else []
    entries += [(339, short, [tags["sample_format"]] * count)] if "sample_format" in tags else []
    directory = 8 + len(data)
    beyond = directory + 2 + 12 * len(entries) + 4
    body, values_beyond = b"", b""
    for tag, kind, values in entries:
        raw = b"".join(struct.pack(order + ("H" if kind == short else "I"), v) for v in values)
        if len(raw) > 4:
            values_beyond, raw = (
                values_beyond + raw,
                struct.pack(order + "I", beyond + len(values_beyond)),
            )
        body += struct.pack(order + "HHI", tag, kind, len(values)) + raw.ljust(4, b"\0")
    start = b"II*\0" if order == "<" else b"MM\0*"
    return (
        start + struct.pack(order + "I", directory) + data
        + struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", 0) + values_beyond
    )  # fmt: skip


def palette(transparency: int | bytes | None = None) -> bytes:
    image = Image.fromarray(BITS).convert("P")
    image.putpalette([200, 0, 0, 0, 200, 100])
    return saved(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


COLOURS = np.array([[200, 0, 0], [0, 200, 100]], dtype=np.uint8)[BITS]
FRAMES = [
    Image.fromarray(RGB8),
    Image.fromarray(RGB8[::-1].copy()),
    Image.new("RGB", (S, S), "red"),
]
ANIMATED: dict[str, Any] = {"save_all": True, "append_images": FRAMES[1:]}
COARSE = np.where(BITS, 170, 85).astype(np.uint8)

RIGHT: dict[str, tuple[bytes, Pixels]] = {
    "PNG 1": (png(BITS, 1, 0), BITS * np.uint8(255)),
    "PNG 1 tRNS": (png(BITS, 1, 0, (0,)), np.full((S, S), 255, np.uint8)),
    "PNG L2 tRNS": (png(1 + BITS, 2, 0, (1,)), np.where(BITS, 170, 255).astype(np.uint8)),
    "PNG L4 tRNS": (png(GREY8 // 16, 4, 0, (5,)),
                    np.where(GREY8 // 16 == 5, 255, GREY8 // 16 * 17).astype(np.uint8)),
    "PNG L": (png(GREY8, 8, 0), GREY8),
    "PNG L tRNS": (png(COARSE, 8, 0, (85,)), np.where(BITS, 170, 255).astype(np.uint8)),
    "PNG LA": (png(np.dstack([GREY8, ALPHA]), 8, 4), on_white(GREY8, ALPHA)),
    "PNG LA16": (png(np.dstack([GREY8, ALPHA]).astype(int) * 257, 16, 4), on_white(GREY8, ALPHA)),
    "PNG P": (palette(), COLOURS),
    "PNG P tRNS": (palette(1), np.where(BITS[..., None], 255, COLOURS).astype(np.uint8)),
    "PNG P tRNS of each": (palette(b"\x80\xff"),
                           on_white(COLOURS, np.where(BITS, 255, 128).astype(np.uint8))),
    "PNG RGB": (png(RGB8, 8, 2), RGB8),
    "PNG RGB tRNS": (png(COLOURS, 8, 2, (200, 0, 0)),
                     np.where(BITS[..., None], COLOURS, 255).astype(np.uint8)),
    "PNG RGBA": (png(np.dstack([RGB8, ALPHA]), 8, 6), on_white(RGB8, ALPHA)),
    "PNG RGBA16": (png(np.dstack([RGB8, ALPHA]).astype(int) * 257, 16, 6), on_white(RGB8, ALPHA)),
    "PNG I;16": (png(GREY16, 16, 0), scaled(GREY16, 65535)),
    "PNG I;16 tRNS": (png(GREY16, 16, 0, (int(GREY16[3, 4]),)),
                      np.where(GREY16[3, 4] == GREY16, 255, scaled(GREY16, 65535)).astype(np.uint8)),
    "PNG RGB16": (png(RGB16, 16, 2), (RGB16 // 256).astype(np.uint8)),
    "BMP": (saved(Image.fromarray(RGB8), "BMP"), RGB8),
    "WebP RGBA": (saved(Image.fromarray(np.dstack([RGB8, ALPHA])), "WEBP", lossless=True, exact=True),
                  on_white(RGB8, ALPHA)),
    "TIFF L": (tiff(GREY8.tobytes(), [8], 1), GREY8),
    "TIFF L MinIsWhite": (tiff(GREY8.tobytes(), [8], 0), 255 - GREY8),
    "TIFF 1 MinIsWhite": (tiff(b"".join(packed(BITS, 1)), [1], 0), (1 - BITS) * np.uint8(255)),
    "TIFF I;16": (tiff(GREY16.astype("<u2").tobytes(), [16], 1), scaled(GREY16, 65535)),
    "TIFF I;16B": (tiff(GREY16.astype(">u2").tobytes(), [16], 1, ">"), scaled(GREY16, 65535)),
    "TIFF I;16 MinIsWhite": (tiff(GREY16.astype("<u2").tobytes(), [16], 0),
                             255 - scaled(GREY16, 65535)),
    "TIFF 12 bits": (tiff(b"".join(packed(GREY12, 12)), [12], 1), scaled(GREY12, 4095)),
    "TIFF RGB16": (tiff(RGB16.astype("<u2").tobytes(), [16] * 3, 2), (RGB16 // 256).astype(np.uint8)),
    "TIFF RGB16B": (tiff(RGB16.astype(">u2").tobytes(), [16] * 3, 2, ">"),
                    (RGB16 // 256).astype(np.uint8)),
    "TIFF planar": (tiff(RGB8.transpose(2, 0, 1).tobytes(), [8] * 3, 2, planes=True), RGB8),
    "TIFF RGBA": (tiff(np.dstack([RGB8, ALPHA]).tobytes(), [8] * 4, 2, extra=2),
                  on_white(RGB8, ALPHA)),
    "TIFF RGBX": (tiff(np.dstack([RGB8, ALPHA]).tobytes(), [8] * 4, 2, extra=0), RGB8),
    "TIFF CMYK": (tiff(np.dstack([RGB8, 0 * GREY8]).tobytes(), [8] * 4, 5), 255 - RGB8),
    "TIFF of pages": (saved(FRAMES[0], "TIFF", **ANIMATED), RGB8),
    "TIFF, LZW": (saved(FRAMES[0], "TIFF", compression="tiff_lzw"), RGB8),
    "animated WebP": (saved(FRAMES[0], "WEBP", lossless=True, **ANIMATED), RGB8),
    "animated PNG": (saved(FRAMES[0], "PNG", **ANIMATED), RGB8),
    "animated GIF": (saved(Image.fromarray(GREY8), "GIF", save_all=True, append_images=FRAMES[1:]),
                     GREY8),
    "PNG with a colour profile": (
        saved(FRAMES[0], "PNG",
              icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()), RGB8),
    "JPEG 2000, lossless": (saved(FRAMES[0], "JPEG2000"), RGB8),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_it_is_decoded_to_what_the_reference_gives(tmp_path: Path, name: str) -> None:
    data, expected = RIGHT[name]
    decoded = np.asarray(decode(io.BytesIO(data), S))
    if decoded.ndim > expected.ndim:
        expected = np.repeat(expected[..., None], 3, 2)
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= (1 if "A" in name else 0)
    (tmp_path / "a").write_bytes(data)
    if "CMYK" not in name:
        read = read_picture(tmp_path / "a")
        if "RGBX" in name:  # a fourth channel of which nothing is said is a channel
            assert np.array_equal(read.pixels[..., 3], ALPHA)
            read = replace(read, pixels=read.pixels[..., :3])
        bits_8 = 257 if read.pixels.dtype == np.uint16 else 1
        pixels = read.pixels / bits_8
        if read.alpha is not None:
            opacity = read.alpha[..., None] / bits_8 / 255
            pixels = pixels * opacity + 255 * (1 - opacity)
        assert np.abs(pixels - expected.reshape((*pixels.shape[:2], -1))).max() <= 1


@pytest.mark.parametrize("name", [name for name in RIGHT if RIGHT[name][1].ndim == 2])
def test_what_is_grey_counts_as_grey(name: str) -> None:
    grey = "GIF" not in name  # which has a palette
    assert (kind_of(io.BytesIO(RIGHT[name][0])) == GREY) == grey
    assert (decode(io.BytesIO(RIGHT[name][0]), S).mode == "L") == grey


def test_a_transparent_colour_of_16_bits_is_compared_in_all_of_them(tmp_path: Path) -> None:
    colours = np.full((S, S, 3), (0x1234, 5, 6))
    colours[0, 0] = (0x1299, 5, 6)  # equal in the upper halves only
    colours[0, 1] = (0x1234, 5, 0x106)
    data = png(colours, 16, 2, (0x1234, 5, 6))
    pixels = np.asarray(decode(io.BytesIO(data), S))
    assert pixels[0, :2].tolist() == [[0x12, 0, 0], [0x12, 0, 1]]
    assert (pixels[1:] == 255).all()
    assert (pixels[0, 2:] == 255).all()
    (tmp_path / "a.png").write_bytes(data)
    alpha = read_picture(tmp_path / "a.png").alpha
    assert alpha is not None
    assert alpha[0].tolist() == [65535, 65535, 0, 0, 0, 0, 0, 0]


LOSSY: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(Image.fromarray(SMOOTH), "JPEG", quality=95),
    "progressive JPEG": lambda: saved(
        Image.fromarray(SMOOTH), "JPEG", quality=95, progressive=True
    ),
    "CMYK JPEG (Adobe's, inverted)": lambda: saved(
        Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95
    ),
    "MPO": lambda: saved(Image.fromarray(SMOOTH), "MPO", quality=95, **ANIMATED),
    "WebP": lambda: saved(Image.fromarray(SMOOTH), "WEBP", quality=95),
    "AVIF": lambda: saved(Image.fromarray(SMOOTH), "AVIF", quality=95),
    "YCbCr TIFF": lambda: saved(Image.fromarray(SMOOTH), "TIFF", compression="jpeg", quality=95),
    "JPEG 2000, lossy": lambda: saved(Image.fromarray(SMOOTH), "JPEG2000", irreversible=True),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_picture_keeps_its_looks(name: str) -> None:
    decoded = np.asarray(decode(io.BytesIO(LOSSY[name]()), S)).astype(int)
    assert np.abs(decoded - SMOOTH).mean() < 8


REFUSED: dict[str, tuple[bytes, str]] = {
    "float TIFF": (tiff(GREY16.astype("<f4").tobytes(), [32], 1, sample_format=3), "floating-point"),
    "signed TIFF": (tiff(GREY8.tobytes(), [8], 1, sample_format=2), "signed numbers"),
    "32-bit TIFF": (tiff((GREY16.astype("<u4") * 9).tobytes(), [32], 1), "32-bit numbers"),
    "planes of 16 bits": (tiff(RGB16.astype("<u2").transpose(2, 0, 1).tobytes(), [16] * 3, 2,
                               planes=True), "planes of 16 bits"),
    "truncated JPEG": (saved(Image.fromarray(SMOOTH), "JPEG")[:-40], "truncated"),
    "truncated progressive JPEG": (
        saved(Image.fromarray(SMOOTH), "JPEG", progressive=True)[:-40], "truncated"),
    "truncated PNG": (png(RGB8, 8, 2)[:-60], ""),
    "half a GIF": (saved(Image.fromarray(GREY8), "GIF")[:-20], ""),
    "half a TIFF": (tiff(RGB8.tobytes(), [8] * 3, 2)[:100], ""),
    "half a WebP": (saved(Image.fromarray(RGB8), "WEBP")[:-30], ""),
    "half an AVIF": (saved(Image.fromarray(RGB8), "AVIF")[:-30], ""),
    "half a JPEG 2000": (saved(Image.fromarray(RGB8), "JPEG2000")[:90], ""),
    "nothing": (b"", "not a picture"),
    "text": (b"<html>404</html>", "not a picture"),
    "an empty picture": (struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 0, 0, 1, 24,
                                     0, 0, 0, 0, 0, 0), ""),
}  # fmt: skip


READ_DEEP = {"float TIFF": S * S, "32-bit TIFF": S * S, "planes of 16 bits": 3 * S * S}
"""What restore reads as it is, and how many values it has."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_decoded_right_is_named(tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    path = tmp_path / "a"
    path.write_bytes(data)
    decoded = decoded_files([str(path)], DecodeOptions(S, None, 1))
    assert list(decoded.bad) == [0], "it was accepted"
    assert reason in decoded.bad[0].lower()
    if name in READ_DEEP:
        assert read_picture(path).pixels.size == READ_DEEP[name]
    else:
        with pytest.raises(SslcliError):
            read_picture(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_every_orientation_is_turned_upright(tmp_path: Path, format: str, orientation: int) -> None:
    """By the standard's words: which side of the picture the first row and column show."""
    stored = np.kron(np.array([[0, 90], [160, 250]], np.uint8), np.ones((16, 16), np.uint8))
    rows, columns = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    seen = np.empty_like(stored)
    for row, column in np.ndindex(stored.shape):
        place = {}
        for side, index in ((rows, row), (columns, column)):
            axis = "row" if side in ("top", "bottom") else "column"
            place[axis] = index if side in ("top", "left") else 31 - index
        seen[place["row"], place["column"]] = stored[row, column]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = (
        {"lossless": True} if format == "WEBP" else {"quality": 95} if format == "JPEG" else {}
    )
    data = saved(Image.fromarray(stored), format, exif=exif, **options)
    decoded = np.asarray(decode(io.BytesIO(data), 32).convert("L")).astype(int)
    assert np.abs(decoded - seen).max() <= (9 if format == "JPEG" else 0)
    (tmp_path / "a").write_bytes(data)
    pixels = read_picture(tmp_path / "a").pixels[..., 0].astype(int)
    assert np.abs(pixels - seen).max() <= (9 if format == "JPEG" else 0)


@pytest.mark.parametrize("size", [(20_000, 20), (1, 501), (501, 1), (1, 1)])
def test_any_shape_becomes_its_middle_square(size: tuple[int, int]) -> None:
    width, height = size
    image = Image.new("RGB", size, (1, 2, 3))
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    around = 3 if side == 1 else 0  # bicubic enlarging looks at the neighbours
    box = (left - around, top - around, left + side + around, top + side + around)
    image.paste((200, 100, 50), box)
    decoded = np.asarray(decode(io.BytesIO(saved(image, "PNG")), S)).astype(int)
    centre = decoded[2:-2, 2:-2]
    assert np.abs(centre - (200, 100, 50)).max() <= 1


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    huge = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + b"IHDR" + huge + struct.pack(">I", zlib.crc32(b"IHDR" + huge))
    data = b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 0) + b"IDAT" + bytes(8)
    with pytest.raises(Image.DecompressionBombError):
        decode(io.BytesIO(data), S)


@pytest.mark.parametrize("cache", [Cache.memory, Cache.disk, Cache.none])
def test_pipes_and_devices_are_named_and_nothing_hangs(tmp_path: Path, cache: Cache) -> None:
    for index in range(8):
        Image.fromarray(RGB8 ^ np.uint8(index)).save(tmp_path / f"{index}.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone")
    splits = FolderConfig(root=str(tmp_path), resolution=S, max_bad=0.5, cache=cache).load()
    assert len(splits.train) + len(splits.val) == 8
    assert {line.removeprefix("could not be decoded, left out: ") for line in splits.warnings} == {
        "pipe.png: Not a file, but a pipe or device",
        "endless.png: Not a file, but a pipe or device",
        "nowhere.png: No such file or directory",
    }
    for name in ("pipe.png", "endless.png"):
        with pytest.raises(SslcliError, match="pipe or device"):
            read_picture(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path)


def test_names_of_every_kind_are_read_and_printed(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    names += ["a\nb", "a\x1b[31m", "\u202etxt", "a'b\"c", "$(x)", "a=b,c", os.fsdecode(b"\xff\xfe")]
    for index, name in enumerate(names):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.new("L", (S, S), 10 * index + number).save(tmp_path / name / f"{number}.png")
    (tmp_path / names[3] / "bad\x1b.png").touch()
    splits = FolderConfig(root=str(tmp_path), resolution=S, max_bad=0.5, val_fraction=0.3).load()
    assert splits.classes == tuple(sorted(names))
    assert splits.train.labels is not None
    for label, image in zip(splits.train.labels, splits.train.images[:], strict=True):
        assert splits.classes[label] == names[image[0, 0, 0] // 10]
    for line in splits.warnings:
        assert line.isprintable()
        line.encode()
