"""Reads pictures from one .npz file, with keys of our own or MedMNIST's."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from sslcli.data.array_targets import Labels, read_targets
from sslcli.data.data_config import DataConfig
from sslcli.data.duplicates import MEANING, Duplicates, handle_duplicates
from sslcli.data.images import ImageSet, Splits, Track, untracked
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError
from sslcli.settings import REQUIRED, setting

PARTS = ("train", "val", "test")
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy raises for a file or a key that is not what it should be."""

Arrays = dict[str, NDArray[Any]]


@dataclass(kw_only=True)
class ArraysConfig(DataConfig):
    """Reads uint8 pictures and their labels, if any, from one .npz file.

    Pictures are (N, H, W) or (N, H, W, C), with C 1 or 3, or 2 or 4 with alpha, which is laid on
    white. Labels are (N,) or (N, 1) whole numbers, one class a picture; or (N, K) of 0 and 1, which
    of K classes a picture has (any other (N, K) are not used); or (N,) floats, a number to predict.

    Keys: x_train y_train x_val y_val x_test y_test, or train_images train_labels val_images ...
    (MedMNIST); `classes`, the names of the labels, where they have any.
    """

    root: str | None = setting(REQUIRED, "the .npz file")
    duplicates: Duplicates = setting(Duplicates.warn, MEANING, added_later=True)

    def load(self, track: Track = untracked) -> Splits:
        path = self.location()
        arrays = read_npz(path)
        targets = read_targets(labels_of_parts(arrays), arrays.get("classes"), path)
        several = None if targets else multilabel_reason(arrays, path)
        if targets is not None or several is not None:
            unused = {key for part in PARTS for key in label_keys(part)}
            arrays = {key: array for key, array in arrays.items() if key not in unused}
        read = {part: read_part(arrays, part, path) for part in PARTS}
        parts = {part: images for part, images in read.items() if images is not None}
        if "train" not in parts:
            raise SslcliError(
                f"{path} has neither x_train nor train_images; its keys are "
                f"{', '.join(arrays) or 'none'}",
                "name the training pictures x_train, their labels y_train",
            )
        require_same_shape(parts, path, any_size=self.resolution is not None)
        parts, classes = number_classes(parts, arrays.get("classes"), path)
        names = None
        if targets is not None:
            parts = {
                name: replace(part, targets=targets.of.get(name)) for name, part in parts.items()
            }
            names = targets.names
        train, val, test = parts["train"], parts.get("val"), parts.get("test")
        stored = StoredParts(train, val, test, classes, target_names=names)
        stored = stored if several is None else stored.without_labels(several)
        return handle_duplicates(self.split_and_resize(stored, track), self.duplicates)


def read_npz(path: Path) -> Arrays:
    """Reads every array of the file by key; refuses pickled objects."""
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


def read_part(arrays: Arrays, part: str, path: Path) -> ImageSet | None:
    """Returns the pictures and labels of `part`; None where the file has none."""
    for image_key, label_key in zip(image_keys(part), label_keys(part), strict=True):
        if image_key in arrays:
            images = _images(arrays[image_key], image_key, path)
            labels = arrays.get(label_key)
            return ImageSet(
                images, None if labels is None else _labels(labels, len(images), label_key, path)
            )
    return None


def labels_of_parts(arrays: Arrays) -> dict[str, Labels]:
    """Returns the labels of each part that has pictures and labels."""
    found: dict[str, Labels] = {}
    for part in PARTS:
        for image_key, key in zip(image_keys(part), label_keys(part), strict=True):
            if image_key in arrays and key in arrays:
                found.setdefault(part, Labels(key, arrays[key], len(arrays[image_key])))
    return found


def multilabel_reason(arrays: Arrays, path: Path) -> str | None:
    """Says which labels are (N, K), but not of 0 and 1, and so cannot be used."""
    for part in PARTS:
        for image_key, key in zip(image_keys(part), label_keys(part), strict=True):
            images, labels = arrays.get(image_key), arrays.get(key)
            if images is None or labels is None or labels.ndim != 2 or labels.shape[1] < 2:
                continue
            if len(labels) == len(images):
                shape = f"{key} in {path} is {labels.shape}"
                return f"{shape}, several labels for each picture, not of 0 and 1"
    return None


def _images(images: NDArray[Any], key: str, path: Path) -> NDArray[np.uint8]:
    got = f"got {images.dtype} {images.shape}"
    if 0 in images.shape:
        raise SslcliError(
            f"{key} in {path} has no pictures, {got}", "leave the key out, or fill it"
        )
    if images.dtype != np.uint8:
        raise SslcliError(
            f"{key} in {path} must be uint8, {got}", "store pixels as uint8, 0 to 255"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 2, 3, 4):
        must_be = "must be (N, H, W) or (N, H, W, C) with C 1 or 3"
        what, fix = _explain_shape(images.shape)
        raise SslcliError(f"{key} in {path} {must_be}, {got}{what}", fix)
    return images if images.shape[3] in (1, 3) else composite_on_white(images)


def _explain_shape(shape: tuple[int, ...]) -> tuple[str, str]:
    """Says what an array that holds no pictures seems to hold, and what can be done."""
    if len(shape) == 4 and shape[1] in (1, 3):
        return ": the channels are first", "put the channels last: numpy.moveaxis(x, 1, -1)"
    if len(shape) in (4, 5):
        volume = "x".join(str(side) for side in shape[1:4])
        channels = "" if len(shape) == 4 else f", {shape[4]}"
        fix = (
            f"store slices: x.reshape(-1, {shape[2]}, {shape[3]}{channels}), and each volume's "
            "label "
            f"{shape[1]} times: numpy.repeat(y, {shape[1]}, axis=0)"
        )
        return f": volumes of {volume}, which are not pictures", fix
    if len(shape) == 2:
        return ": each picture is one row", "give them their shape back: x.reshape(-1, H, W)"
    return "", "put the channels last"


def composite_on_white(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lays pictures (N, H, W, C + 1), with alpha as the last channel, on white."""
    result = np.empty((*images.shape[:3], images.shape[3] - 1), dtype=np.uint8)
    for row, picture in enumerate(images):  # one at a time: little memory
        colours, alpha = picture[..., :-1].astype(np.uint16), picture[..., -1:].astype(np.uint16)
        result[row] = (colours * alpha + 255 * (255 - alpha) + 127) // 255
    return result


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


def require_same_shape(parts: dict[str, ImageSet], path: Path, *, any_size: bool) -> None:
    """Raises SslcliError unless all parts have the same channels and size.

    With `any_size`, the sizes may differ.
    """
    first = parts["train"].images.shape[1:]
    for part, pictures in parts.items():
        shape = pictures.images.shape[1:]
        if shape[2] != first[2] or (shape != first and not any_size):
            raise SslcliError(
                f"the {part} pictures in {path} are {shape}, the train pictures {first} (H, W, C)",
                "give both the same channels; for sizes, data.resolution makes them one",
            )


def number_classes(
    parts: dict[str, ImageSet], names: NDArray[Any] | None, path: Path
) -> tuple[dict[str, ImageSet], tuple[str, ...] | None]:
    """Returns `parts` with labels 0 to K - 1, and the names of the K classes.

    Without training labels, no part keeps any.
    """
    if parts["train"].labels is None:
        return {part: ImageSet(pictures.images) for part, pictures in parts.items()}, None
    values = np.unique(parts["train"].labels)
    for part, pictures in parts.items():
        _refuse_other_classes(part, pictures.labels, values, path)
    if names is None:
        renumbered = {part: _renumber(pictures, values) for part, pictures in parts.items()}
        return renumbered, tuple(str(value) for value in values)
    _require_names(names, values, path)
    return parts, tuple(str(name) for name in names.tolist())


def _require_names(names: NDArray[Any], values: NDArray[np.int64], path: Path) -> None:
    if names.ndim != 1 or values[0] < 0 or values[-1] >= len(names):
        raise SslcliError(
            f"classes in {path} must name the labels {values[0]} to {values[-1]}, got "
            f"{names.shape}",
            "number the labels from 0, and give a name for each, or leave classes out",
        )


def _refuse_other_classes(
    part: str, labels: NDArray[np.int64] | None, values: NDArray[np.int64], path: Path
) -> None:
    """Raises SslcliError for labels that no training picture has.

    Every prediction for them would count as wrong.
    """
    others = [] if labels is None else np.setdiff1d(labels, values).tolist()
    if others:
        few = ", ".join(str(value) for value in others[:5]) + (", ..." if len(others) > 5 else "")
        raise SslcliError(
            f"{path} has {part} labels that the training pictures have not: {few} "
            f"(these have {values[0]} to {values[-1]})",
            "number the classes of all parts alike, and leave pictures of other classes out",
        )


def _renumber(pictures: ImageSet, values: NDArray[np.int64]) -> ImageSet:
    if pictures.labels is None:
        return pictures
    return ImageSet(pictures.images, np.searchsorted(values, pictures.labels).astype(np.int64))
