"""Damaged pictures: whatever Pillow refuses to load is refused, wherever pictures are read."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslcli.data.decode import decode
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.picture_file import read_picture
from sslcli.errors import RunFailed, SslcliError
from sslcli.tools.inspect.picture_facts import look_at_bytes

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("PNG", {}),
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "WebP": ("WEBP", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "BMP": ("BMP", {}),
    "GIF": ("GIF", {}),
    "TIFF": ("TIFF", {}),
    "LZW TIFF": ("TIFF", {"compression": "tiff_lzw"}),
    "deflated TIFF": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "JPEG TIFF": ("TIFF", {"compression": "jpeg"}),
    "JPEG 2000": ("JPEG2000", {}),
    "AVIF": ("AVIF", {}),
}
WITH_EXIF = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")


@contextmanager
def silent() -> Iterator[None]:
    """Keeps what libtiff writes to the process's standard error out of the tests' output."""
    saved, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)


def encoded(name: str, size: int = 40) -> bytes:
    format, options = FORMATS[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    blocks = rng.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    options = {**options, "exif": exif} if format in WITH_EXIF else options
    Image.fromarray(np.kron(blocks, np.ones((4, 4, 1), np.uint8))).save(file, format, **options)
    return file.getvalue()


def flipped(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The file `count` times, each time with a byte changed at another random place."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        yield bytes(damaged)


def loads(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except Exception:
        return False
    return True


def check_flips(name: str, path: Path, count: int, resolution: int) -> None:
    accepted = []
    num_refused = 0
    with silent():
        for index, damaged in enumerate(flipped(encoded(name), count, seed=1)):
            if loads(damaged):
                continue
            num_refused += 1
            for read, refusal in (
                (lambda: decode(io.BytesIO(damaged), resolution), Exception),  # noqa: B023
                (lambda: read_picture(path), SslcliError),
            ):
                path.write_bytes(damaged)
                try:
                    read()
                except refusal:
                    continue
                accepted.append(index)
    assert accepted == []
    assert num_refused or name == "BMP", "no flip did damage: the test tests nothing"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_what_pillow_refuses_is_refused(tmp_path: Path, name: str) -> None:
    check_flips(name, tmp_path / "picture", 40, 8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("resolution", [2, 20])
@pytest.mark.parametrize("name", FORMATS)
def test_what_pillow_refuses_of_200_flips_is_refused(
    tmp_path: Path, name: str, resolution: int
) -> None:
    check_flips(name, tmp_path / "picture", 200, resolution)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_a_png_with_a_flipped_bit_is_damaged_wherever_it_is_read(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    for index in range(12):
        grey = rng.integers(0, np.iinfo(kind).max, (24, 24), dtype=kind)
        Image.fromarray(grey).save(tmp_path / f"{index}.png")
    path = tmp_path / "3.png"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 16
    path.write_bytes(damaged)
    assert not loads(bytes(damaged))
    with pytest.raises(SslcliError, match="broken data stream"):
        read_picture(path)
    if kind == "uint8":
        look = look_at_bytes(bytes(damaged))
        assert "broken data stream" in (look.broken or "")
        assert (look.facts["width"], look.facts["height"]) == (24, 24)
    else:
        with pytest.raises(OSError, match="broken data stream"):
            look_at_bytes(bytes(damaged))
    splits = FolderConfig(root=str(tmp_path), resolution=8, max_bad=0.5, val_fraction=0.4).load()
    assert len(splits.train) + len(splits.val) == 11
    assert any("3.png" in warning for warning in splits.warnings)


@pytest.fixture
def half_damaged(tmp_path: Path) -> Path:
    """40 pictures of noise; of every second one a byte at a quarter is changed."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(40):
        path = folder / f"{index:02}.png"
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
        if index % 2:
            data = bytearray(path.read_bytes())
            data[len(data) // 4] ^= 0xFF
            path.write_bytes(data)
            assert not loads(bytes(data))
    return folder


@pytest.mark.parametrize("cache", [Cache.memory, Cache.disk])
def test_damaged_pictures_stop_a_run_that_allows_none(half_damaged: Path, cache: Cache) -> None:
    with pytest.raises(SslcliError, match=r"20 of 40 pictures could not be decoded.*01\.png"):
        FolderConfig(root=str(half_damaged), resolution=8, max_bad=0, cache=cache).load()
    splits = FolderConfig(root=str(half_damaged), resolution=8, max_bad=0.6, cache=cache).load()
    assert len(splits.train) + len(splits.val) == 20
    named = {line.split(": ")[1] for line in splits.warnings if "could not be decoded" in line}
    assert named == {f"{index:02}.png" for index in range(1, 40, 2)}


def test_damaged_pictures_that_are_decoded_for_every_batch_stop_the_run(half_damaged: Path) -> None:
    splits = FolderConfig(root=str(half_damaged), resolution=8, cache=Cache.none).load()
    with pytest.raises(RunFailed, match=r"\d[13579]\.png could not be decoded"):
        splits.train.images[:]
