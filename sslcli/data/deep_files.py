"""Reads files of pictures of more than 8 bits, or of other channels than grey and RGB."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.array_images import in_doubt
from sslcli.data.deep_picture import DeepPicture, upright
from sslcli.data.dicom_picture import read_dicom
from sslcli.data.stored_picture import orientation_of
from sslcli.data.tiff_picture import MADE_16, of_16_bits, read_tiff
from sslcli.data.values import MOST_CHANNELS, kind_of
from sslcli.preprocessing import Range

NPY, PNG = b"\x93NUMPY", b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
DICOM, DICOM_AT = b"DICM", 128
JPEG_2000, JPEG_2000_SIZE = (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"), b"\xff\x4f\xff\x51"
_SPACE = rb"(?:\s|#[^\n\r]*[\n\r])+"
PNM = re.compile(rb"P([2356])" + (_SPACE + rb"\d+") * 2 + _SPACE + rb"(\d+)")
"""The header of a PGM or PPM, up to its largest value."""
PNG_DEPTH_AT = 24
"""The byte of a PNG that says how many bits a channel has."""
NPY_LOCK = Lock()
"""Held while NumPy reads: it parses the header by `ast`, which Python 3.11 counts for all threads.

A good file then failed, rarely, with SystemError. Nothing is lost: it reads without other threads.
"""


def read_deep(data: bytes, range_: Range | None = None) -> DeepPicture | None:
    """Returns the picture in a file's content; None where Pillow reads all of it.

    That is grey or RGB of 8 bits. `range_`: the values of a DICOM that mean black and white, in
    place of its window. Raises whatever a broken file makes its reader raise, and ValueError for
    what cannot be read whole.
    """
    found = _read(data, range_)
    if found is None:
        return None
    if not 1 <= found.pixels.shape[2] <= MOST_CHANNELS:
        raise ValueError(f"it has {found.pixels.shape[2]} channels, and may have {MOST_CHANNELS}")
    native = found.pixels.astype(found.pixels.dtype.newbyteorder("="), copy=False)
    return replace(found, pixels=np.ascontiguousarray(native))


def _read(data: bytes, range_: Range | None) -> DeepPicture | None:
    """Reads by what the file begins with."""
    if data.startswith(NPY):
        return _read_npy(data)
    if data.startswith(PNG):
        return _read_png(data) if data[PNG_DEPTH_AT : PNG_DEPTH_AT + 1] == b"\x10" else None
    if data.startswith(TIFF):
        return read_tiff(data)
    if data[DICOM_AT:].startswith(DICOM):
        return read_dicom(data, range_)
    return _read_by_pillow(data, *_bits_and_channels(data))


def _bits_and_channels(data: bytes) -> tuple[int, int]:
    """Returns them of a JPEG 2000, or of a PGM or PPM; of others (8, 1)."""
    if data.startswith(JPEG_2000):
        size = data.find(JPEG_2000_SIZE)
        if size >= 0 and len(data) > size + 42:
            if data[size + 42] & 0x80:
                raise ValueError("its pixels are signed numbers, of unknown range")
            channels = int.from_bytes(data[size + 40 : size + 42], "big")
            return (data[size + 42] & 0x7F) + 1, channels
    header = PNM.match(data)
    if header is not None:
        return int(header[2]).bit_length(), 3 if header[1] in b"36" else 1
    return 8, 1


def _read_by_pillow(data: bytes, bits: int, channels: int) -> DeepPicture | None:
    """Reads grey of more than 8 bits; raises ValueError for colours, of which Pillow keeps 8."""
    if bits <= 8:
        return None
    if channels > 1:
        fix = "save it as PNG or TIFF, or take these: data.depth=8"
        raise ValueError(f"8 of its {bits} bits a channel can be read: {fix}")
    with Image.open(io.BytesIO(data)) as image:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"its values are from {values.min()} to {values.max()}")
        pixels = upright(values.astype(np.uint16)[..., None], orientation_of(image))
    if bits == 16:
        return DeepPicture(pixels)
    if data.startswith(JPEG_2000):  # whose values Pillow shifts; of a PGM it makes white 65,535
        pixels = of_16_bits(pixels >> (16 - bits), bits)
    return DeepPicture(pixels, notes=(MADE_16.format(bits),))


def _read_npy(data: bytes) -> DeepPicture:
    with NPY_LOCK:
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    if array.ndim not in (2, 3) or 0 in array.shape:
        many = "; data=arrays reads arrays of pictures" if array.ndim == 4 else ""
        message = f"it holds {array.shape}, and a picture is (H, W) or (H, W, C)"
        raise ValueError(message + many)
    if kind_of(array.dtype) == "bool" or array.dtype.kind not in "uif":
        raise ValueError(f"its values are {array.dtype}, which are no brightness")
    pixels = array[..., None] if array.ndim == 2 else array
    if in_doubt((1, *pixels.shape)):
        fix = "save it with the channels last: numpy.moveaxis(x, 0, -1)"
        raise ValueError(f"its shape {array.shape} seems to begin with the channels: {fix}")
    return DeepPicture(pixels)


def _read_png(data: bytes) -> DeepPicture:
    """Reads a PNG of 16 bits, of which Pillow keeps the upper ones, of all but grey."""
    with Image.open(io.BytesIO(data)) as image:
        stored = str(image.tile[0].args)
        key, turn = image.info.get("transparency"), orientation_of(image)
        if stored == "I;16B":
            values = np.asarray(image).astype(np.uint16)[..., None]
        elif stored == "LA;16B":  # four bytes a pixel, as those of RGBA
            parts = _decoded(data, "RGBA").astype(np.uint16)
            values = parts[..., 0::2] * 256 + parts[..., 1::2]
        else:
            upper, lower = (_decoded(data, stored.replace("16B", end)) for end in ("16B", "16L"))
            values = upper.astype(np.uint16) * 256 + lower
        profile = image.info.get("icc_profile")
    with_alpha = values.shape[2] in (2, 4)
    colours = upright(values[..., :-1] if with_alpha else values, turn)
    alpha = upright(values[..., -1], turn) if with_alpha else None
    if key is not None and not with_alpha:
        opaque = (colours != np.atleast_1d(np.asarray(key))).any(axis=2)
        alpha = opaque.astype(np.uint16) * np.uint16(65535)
    return DeepPicture(colours, alpha, icc_profile=profile)


def _decoded(data: bytes, storage: str) -> NDArray[np.uint8]:
    """Returns the bytes that Pillow decodes as if the PNG were stored in another way."""
    image: Any = Image.open(io.BytesIO(data))
    image._mode = storage.partition(";")[0]
    image.tile = [tile._replace(args=storage) for tile in image.tile]
    image.load()
    return np.asarray(image)
