"""Reads the idx files of MNIST and its kin, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import ImageSet
from sslcli.errors import SslcliError

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def find_idx(folders: Iterable[Path]) -> Path | None:
    """Returns the first of `folders` that holds all four files."""
    for folder in folders:
        if all(_file(folder, name) for name in NAMES):
            return folder
    return None


def read_idx(folder: Path) -> tuple[ImageSet, ImageSet]:
    """Reads the training and the test pictures in `folder`."""
    return _read_part(folder, *NAMES[:2]), _read_part(folder, *NAMES[2:])


def _read_part(folder: Path, image_name: str, label_name: str) -> ImageSet:
    images, labels = (
        _read(_file(folder, name) or folder / name) for name in (image_name, label_name)
    )
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise _broken(folder / image_name, f"pictures {images.shape} with labels {labels.shape}")
    return ImageSet(images[..., None], labels.astype(np.int64))


def _file(folder: Path, name: str) -> Path | None:
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _read(path: Path) -> NDArray[np.uint8]:
    """Returns the values of an idx file.

    Its layout: two zero bytes, the type (8: uint8), the number of axes; the length of each axis, in
    4 bytes; the values.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, str(error)) from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise _broken(path, f"it starts with {content[:4].hex(' ') or 'nothing'}")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise _broken(path, f"{len(content) - start} values for shape {shape}")
    values: NDArray[np.uint8] = np.frombuffer(content, dtype=np.uint8, offset=start)
    return np.array(values.reshape(shape))  # a copy: what lies in `content` is read-only


def _broken(path: Path, reason: str) -> SslcliError:
    return SslcliError(
        f"{path} is not a whole idx file of bytes: {reason}", "delete it and fetch it again"
    )
