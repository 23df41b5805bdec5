"""Writes pictures of more than 8 bits, or of other channels than grey and RGB."""

from __future__ import annotations

import io
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.deep_picture import DeepPicture
from sslcli.errors import SslcliError

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""A PNG's name for grey, grey with alpha, RGB, RGB with alpha, by the number of channels."""
UNASSOCIATED = "unassalpha"


def is_deep(pixels: NDArray[Any]) -> bool:
    """Tells whether Pillow cannot write pixels (H, W, C): not grey or RGB of 8 bits."""
    return pixels.dtype != np.uint8 or pixels.shape[2] not in (1, 3)


def require_holds(path: Path, kind: str, picture: DeepPicture) -> None:
    """Raises SslcliError where a file of that format would not hold all of the picture."""
    pixels = picture.pixels
    what = f"{pixels.shape[2]} channels of {pixels.dtype}"
    if kind == "NPY" and picture.alpha is not None:
        raise SslcliError(f"{path}: NPY cannot hold the picture's transparency", "write .tif")
    if kind == "TIFF" and find_spec("tifffile") is None:
        message = f"{path}: {what} need tifffile, which is not installed"
        raise SslcliError(message, "pip install 'sslcli[tiff]', or write .npy")
    png = kind == "PNG" and pixels.dtype == np.uint16 and pixels.shape[2] in (1, 3)
    if not png and kind not in ("NPY", "TIFF"):
        raise SslcliError(f"{path}: {kind} cannot hold {what}", "write .tif or .npy")


def encoded_deep(kind: str, picture: DeepPicture, exif: bytes | None = None) -> bytes:
    """Returns a file's content: NPY, TIFF or PNG, as `require_holds` has allowed."""
    encode = {"NPY": _npy, "TIFF": _tiff}.get(kind)
    return _png(picture, exif) if encode is None else encode(picture)


def _npy(picture: DeepPicture) -> bytes:
    content = io.BytesIO()
    np.save(content, picture.pixels)
    return content.getvalue()


def _tiff(picture: DeepPicture) -> bytes:
    import tifffile

    content = io.BytesIO()
    pixels, extra = picture.pixels, picture.pixels.shape[2] - 1
    photometric = "rgb" if pixels.shape[2] == 3 else "minisblack"
    if photometric == "rgb":
        extra = 0
    samples: list[str] = ["unspecified"] * extra
    if picture.alpha is not None:
        pixels, samples = np.dstack([pixels, picture.alpha]), [*samples, UNASSOCIATED]
    single = pixels.shape[2] == 1
    tifffile.imwrite(
        content,
        pixels[..., 0] if single else pixels,
        photometric=photometric,
        planarconfig=None if single else "contig",
        extrasamples=samples or None,
        iccprofile=picture.icc_profile,
        extratags=picture.tags,
        metadata=None,
    )
    return content.getvalue()


def _png(picture: DeepPicture, exif: bytes | None) -> bytes:
    """Encodes 16 bits a channel, which Pillow can of grey alone."""
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = np.dstack([pixels, picture.alpha])
    height, width, channels = pixels.shape
    lines = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    unfiltered = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    parts = [_chunk(b"IHDR", header)]
    if picture.icc_profile is not None:
        parts.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc_profile)))
    if exif is not None:
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts += [_chunk(b"IDAT", zlib.compress(unfiltered.tobytes())), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    length, check = len(content), zlib.crc32(kind + content)
    return struct.pack(">I", length) + kind + content + struct.pack(">I", check)
