"""Reads the arrays of a data set: one .npz, one .npy, or a folder of .npy files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from sslcli.errors import SslcliError

PARTS = ("train", "val", "test")
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy raises for a file or a key that is not what it should be."""

Arrays = dict[str, NDArray[Any]]


def image_keys(part: str) -> tuple[str, str]:
    return f"x_{part}", f"{part}_images"


def label_keys(part: str) -> tuple[str, str]:
    return f"y_{part}", f"{part}_labels"


def keys_of(arrays: Container[str], part: str) -> tuple[str | None, str | None]:
    """Returns the keys of the pictures and labels of a part; None for what it lacks.

    Labels of the other naming are taken where they can belong to no other pictures.
    """
    both = list(zip(image_keys(part), label_keys(part), strict=True))
    there = [(images, labels) for images, labels in both if images in arrays]
    if not there:
        return None, None
    images, own = there[0]
    known = [labels for _, labels in both if labels in arrays]
    if own in known or len(there) > 1:
        return images, own if own in known else None
    return images, known[0] if known else None


IMAGES = tuple(key for part in PARTS for key in image_keys(part))
WANTED = {*IMAGES, *(key for part in PARTS for key in label_keys(part)), "classes"}


def read_arrays(path: Path) -> Arrays:
    """Reads every array by key; refuses pickled objects.

    Of a .npz whole; of a folder x_train.npy, y_train.npy and so on, pictures staying on the disk;
    one .npy holds the training pictures.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise SslcliError(f"data.root does not exist: {path}", "data.root=path/to/file.npz")
    with path.open("rb") as file:  # numpy leaves a file open that is no archive
        is_single = file.read(6) == b"\x93NUMPY"
        file.seek(0)
        if is_single:
            return {"x_train": _map(path)}
        try:
            loaded = np.load(file, allow_pickle=False)
        except UNREADABLE as error:
            raise SslcliError(
                f"{path} is not an .npz file", "write it with numpy.savez_compressed"
            ) from error
        assert isinstance(loaded, NpzFile), "a single array has another beginning"
        return {key: _read_key(loaded, key, path) for key in loaded if key in WANTED}


def _read_folder(folder: Path) -> Arrays:
    found = {file.stem: file for file in sorted(folder.glob("*.npy")) if file.stem in WANTED}
    if not any(key in found for key in image_keys("train")):
        message = f"data.root is a folder, and has no x_train.npy: {folder}"
        fix = "data.root=path/to/file.npz, or write x_train.npy, y_train.npy, … into the folder"
        raise SslcliError(message, fix)
    return {key: _map(file, copy=key not in IMAGES) for key, file in found.items()}


def _map(file: Path, copy: bool = False) -> NDArray[Any]:
    """Maps a .npy file, or reads it."""
    try:
        array: NDArray[Any] = np.load(file, mmap_mode=None if copy else "r", allow_pickle=False)
    except UNREADABLE as error:
        raise _unreadable(str(file), error) from error
    return array


def _read_key(loaded: Mapping[str, NDArray[Any]], key: str, path: Path) -> NDArray[Any]:
    try:
        return loaded[key]
    except UNREADABLE as error:
        raise _unreadable(f"{key} in {path}", error) from error


def _unreadable(what: str, error: Exception) -> SslcliError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SslcliError(f"{what} cannot be read: {reason}", "store it as a plain array")
