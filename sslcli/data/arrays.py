"""Reads pictures from one .npz file, with keys of our own or MedMNIST's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.array_files import PARTS, Arrays, keys_of, label_keys, read_arrays
from sslcli.data.array_images import ArrayMeaning, read_images
from sslcli.data.array_targets import Labels, read_targets
from sslcli.data.duplicates import MEANING, Duplicates, handle_duplicates
from sslcli.data.images import ImageSet, Splits, Track, dtype_of, untracked
from sslcli.data.split import StoredParts
from sslcli.data.values import Layout, used_range
from sslcli.data.values_config import ValuesConfig
from sslcli.errors import SslcliError
from sslcli.settings import REQUIRED, setting


@dataclass(kw_only=True)
class ArraysConfig(ValuesConfig):
    """Reads pictures and their labels, if any, from one .npz file, or from .npy files.

    Pictures are (N, H, W) or (N, H, W, C) of uint8, uint16 or float32, with C from 1 to 64. Of
    uint8 and C 2 or 4, the last is alpha, and laid on white. Labels are (N,) or (N, 1) whole
    numbers, one class a picture; or (N, K) of 0 and 1, which of K classes a picture has (any other
    (N, K) are not used); or (N,) floats, a number to predict.

    Keys: x_train y_train x_val y_val x_test y_test, or train_images train_labels val_images ...
    (MedMNIST), or pictures of the one naming and labels of the other; `classes`, the names of the
    labels, where they have any. In a folder they are the names of .npy files, x_train.npy and so
    on, whose pictures stay on the disk; one .npy file is the training pictures.
    """

    root: str | None = setting(REQUIRED, "the .npz file, a .npy file, or a folder of .npy files")
    duplicates: Duplicates = setting(Duplicates.warn, MEANING, added_later=True)
    layout: Layout | None = setting(
        None,
        "where the channels are: channels_last (N, H, W, C) or channels_first (N, C, H, W); "
        "null: last, and refused where that is in doubt",
        added_later=True,
    )
    alpha: bool | None = setting(
        None,
        "whether the last of 2 or 4 channels is alpha, and pictures are laid on white; "
        "null: of uint8 it is",
        added_later=True,
    )

    def load(self, track: Track = untracked) -> Splits:
        path = self.location()
        arrays = read_arrays(path)
        targets = read_targets(labels_of_parts(arrays), arrays.get("classes"), path)
        several = None if targets else multilabel_reason(arrays, path)
        if targets is not None or several is not None:
            unused = {key for part in PARTS for key in label_keys(part)}
            arrays = {key: array for key, array in arrays.items() if key not in unused}
        meaning = ArrayMeaning(self.chosen_range(), self.layout, self.alpha)
        read = {part: read_part(arrays, part, path, meaning) for part in PARTS}
        parts = {part: found[0] for part, found in read.items() if found is not None}
        said = [line for found in read.values() if found is not None for line in found[1]]
        if "train" not in parts:
            raise SslcliError(
                f"{path} has neither x_train nor train_images; its keys are "
                f"{', '.join(arrays) or 'none'}",
                "name the training pictures x_train, their labels y_train",
            )
        require_same_shape(parts, path, any_size=self.resolution is not None)
        range_ = used_range(dtype_of(parts["train"].images), self.chosen_range())
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
        splits = self.with_meaning(self.split_and_resize(stored, track), range_, said)
        return handle_duplicates(splits, self.duplicates)


def read_part(
    arrays: Arrays, part: str, path: Path, meaning: ArrayMeaning
) -> tuple[ImageSet, list[str]] | None:
    """Returns the pictures and labels of `part`, and warnings; None where the file has none."""
    image_key, label_key = keys_of(arrays, part)
    if image_key is None:
        return None
    images, warnings = read_images(arrays[image_key], f"{image_key} in {path}", meaning)
    if label_key is None:
        return ImageSet(images), warnings
    return ImageSet(images, _labels(arrays[label_key], len(images), label_key, path)), warnings


def labels_of_parts(arrays: Arrays) -> dict[str, Labels]:
    """Returns the labels of each part that has pictures and labels."""
    found: dict[str, Labels] = {}
    for part in PARTS:
        image_key, key = keys_of(arrays, part)
        if image_key is not None and key is not None:
            found[part] = Labels(key, arrays[key], len(arrays[image_key]))
    return found


def multilabel_reason(arrays: Arrays, path: Path) -> str | None:
    """Says which labels are (N, K), but not of 0 and 1, and so cannot be used."""
    for key, labels, num_pictures in labels_of_parts(arrays).values():
        if labels.ndim == 2 and labels.shape[1] > 1 and len(labels) == num_pictures:
            shape = f"{key} in {path} is {labels.shape}"
            return f"{shape}, several labels for each picture, not of 0 and 1"
    return None


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
    """Raises SslcliError unless all parts have the same channels, type and size.

    With `any_size`, the sizes may differ.
    """
    first, kind = parts["train"].images.shape[1:], dtype_of(parts["train"].images)
    for part, pictures in parts.items():
        shape, other = pictures.images.shape[1:], dtype_of(pictures.images)
        if other != kind:
            message = f"the {part} pictures in {path} are {other}, the train pictures {kind}"
            raise SslcliError(message, "store both as the same type of numbers")
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
