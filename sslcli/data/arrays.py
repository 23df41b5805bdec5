"""Pictures in one .npz file: the keys x_train y_train x_val y_val x_test y_test, or MedMNIST's."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet, Splits, Track, untracked
from sslcli.data.split import Stored
from sslcli.errors import SslcliError
from sslcli.settings import REQUIRED, setting

PARTS = ("train", "val", "test")
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy raises for a file or a key that is not what it should be."""

Arrays = dict[str, NDArray[Any]]


@dataclass(kw_only=True)
class ArraysConfig(DataConfig):
    """uint8 pictures (N, H, W) or (N, H, W, C), C being 1 or 3; labels (N,) or (N, 1), or none.

    Keys: x_train y_train x_val y_val x_test y_test, or train_images train_labels val_images ... (MedMNIST);
    `classes`, the names of the labels, where they have any.
    """

    root: str | None = setting(REQUIRED, "the .npz file")

    def load(self, track: Track = untracked) -> Splits:
        path = self.location()
        arrays = read_npz(path)
        parts = {part: picture_part(arrays, part, path) for part in PARTS}
        train = parts["train"]
        if train is None:
            raise SslcliError(
                f"{path} has neither x_train nor train_images; its keys are {', '.join(arrays) or 'none'}",
                "name the training pictures x_train, their labels y_train",
            )
        present = {part: images for part, images in parts.items() if images is not None}
        check_alike(present, path, any_size=self.resolution is not None)
        present, classes = numbered(present, arrays.get("classes"), path)
        stored = Stored(present["train"], present.get("val"), present.get("test"), classes)
        return self.prepared(stored, track)


def read_npz(path: Path) -> Arrays:
    """Every array of the file, by key. Pickled objects are refused."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise SslcliError(f"data.root {what}: {path}", "data.root=path/to/file.npz")
    with path.open("rb") as file:  # numpy leaves a file open that is no archive
        try:
            loaded = np.load(file, allow_pickle=False)
        except UNREADABLE as error:
            raise SslcliError(
                f"{path} is not an .npz file", "write it with numpy.savez_compressed"
            ) from error
        if not isinstance(loaded, NpzFile):
            raise SslcliError(
                f"{path} holds a single array", "write it with numpy.savez, a key for each array"
            )
        wanted = {key for part in PARTS for key in (*image_keys(part), *label_keys(part))} | {
            "classes"
        }
        return {key: _read_key(loaded, key, path) for key in loaded if key in wanted}


def _read_key(loaded: Mapping[str, NDArray[Any]], key: str, path: Path) -> NDArray[Any]:
    try:
        return loaded[key]
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SslcliError(
            f"{key} in {path} cannot be read: {reason}", "store it as a plain array"
        ) from error


def image_keys(part: str) -> tuple[str, str]:
    return f"x_{part}", f"{part}_images"


def label_keys(part: str) -> tuple[str, str]:
    return f"y_{part}", f"{part}_labels"


def picture_part(arrays: Arrays, part: str, path: Path) -> ImageSet | None:
    """The pictures and labels of `part`; None where the file has none."""
    for image_key, label_key in zip(image_keys(part), label_keys(part), strict=True):
        if image_key in arrays:
            images = _images(arrays[image_key], image_key, path)
            labels = arrays.get(label_key)
            return ImageSet(
                images, None if labels is None else _labels(labels, len(images), label_key, path)
            )
    return None


def _images(images: NDArray[Any], key: str, path: Path) -> NDArray[np.uint8]:
    found = f"got {images.dtype} {images.shape}"
    if images.dtype != np.uint8:
        raise SslcliError(
            f"{key} in {path} must be uint8, {found}", "store pixels as uint8, 0 to 255"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        must_be = "must be (N, H, W) or (N, H, W, C) with C 1 or 3"
        raise SslcliError(f"{key} in {path} {must_be}, {found}", "put the channels last")
    if 0 in images.shape:
        raise SslcliError(
            f"{key} in {path} has no pictures, {found}", "leave the key out, or fill it"
        )
    return images


def _labels(labels: NDArray[Any], count: int, key: str, path: Path) -> NDArray[np.int64]:
    found = f"got {labels.dtype} {labels.shape}"
    if labels.shape not in ((count,), (count, 1)):
        must_be = f"must be one label for each of {count} pictures, ({count},) or ({count}, 1)"
        raise SslcliError(f"{key} in {path} {must_be}, {found}", "give each picture one label")
    if labels.dtype.kind not in "iu":
        raise SslcliError(
            f"{key} in {path} must be whole numbers, {found}", "number the classes from 0"
        )
    return labels.reshape(count).astype(np.int64)


def check_alike(parts: dict[str, ImageSet], path: Path, *, any_size: bool) -> None:
    """Raises SslcliError unless all parts have the same channels and, without `any_size`, the same size."""
    first = parts["train"].images.shape[1:]
    for part, pictures in parts.items():
        shape = pictures.images.shape[1:]
        if shape[2] != first[2] or (shape != first and not any_size):
            raise SslcliError(
                f"the {part} pictures in {path} are {shape}, the train pictures {first} (H, W, C)",
                "give both the same channels; for sizes, data.resolution makes them one",
            )


def numbered(
    parts: dict[str, ImageSet], names: NDArray[Any] | None, path: Path
) -> tuple[dict[str, ImageSet], tuple[str, ...] | None]:
    """`parts` with labels 0 to K - 1, and the names of the K classes.

    Without training labels, no part keeps any.
    """
    if parts["train"].labels is None:
        return {part: ImageSet(pictures.images) for part, pictures in parts.items()}, None
    labels = [pictures.labels for pictures in parts.values() if pictures.labels is not None]
    values = np.unique(np.concatenate(labels))
    if names is None:
        return {part: _renumbered(pictures, values) for part, pictures in parts.items()}, tuple(
            str(value) for value in values
        )
    if names.ndim != 1 or values[0] < 0 or values[-1] >= len(names):
        raise SslcliError(
            f"classes in {path} must name the labels {values[0]} to {values[-1]}, got {names.shape}",
            "number the labels from 0, and give a name for each, or leave classes out",
        )
    return parts, tuple(str(name) for name in names.tolist())


def _renumbered(pictures: ImageSet, values: NDArray[np.int64]) -> ImageSet:
    if pictures.labels is None:
        return pictures
    return ImageSet(pictures.images, np.searchsorted(values, pictures.labels).astype(np.int64))
