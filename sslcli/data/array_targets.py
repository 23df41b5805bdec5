"""Reads label arrays that are no single class: several classes a picture, and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslcli.data.table_targets import LARGEST, Targets
from sslcli.errors import SslcliError


class Labels(NamedTuple):
    """Holds an array of labels, its key, and how many pictures it is for."""

    key: str
    array: NDArray[Any]
    num_pictures: int


@dataclass(frozen=True)
class ArrayTargets:
    """Holds the targets (N, T) `of` each part, and the names of the T."""

    of: Mapping[str, Targets]
    names: tuple[str, ...]


def read_targets(
    labels: Mapping[str, Labels], classes: NDArray[Any] | None, path: Path
) -> ArrayTargets | None:
    """Returns the targets of the parts; None where training has one class a picture.

    Raises SslcliError where another part has labels of another kind than training, for names that
    do not fit, and for numbers that are not finite.
    """
    if "train" not in labels:
        return None
    train = labels["train"].array
    if train.ndim == 2 and train.shape[1] > 1 and _are_0_and_1(train):
        found = {part: _several(one, train.shape[1], path) for part, one in labels.items()}
        return ArrayTargets(found, _names(classes, train.shape[1], path))
    if train.dtype.kind == "f" and (train.ndim == 1 or train.shape[1:] == (1,)):
        numbers = {part: _numbers(one, path) for part, one in labels.items()}
        return ArrayTargets(numbers, (labels["train"].key,))
    return None


def _are_0_and_1(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "buif" and bool(np.isin(array, (0, 1)).all())


def _several(labels: Labels, num_classes: int, path: Path) -> NDArray[np.bool_]:
    key, array, count = labels
    if array.shape != (count, num_classes) or not _are_0_and_1(array):
        message = f"{key} in {path} must be ({count}, {num_classes}) of 0 and 1, as training's are"
        raise SslcliError(f"{message}, got {array.dtype} {array.shape}", "label all parts alike")
    return array.astype(np.bool_)


def _numbers(labels: Labels, path: Path) -> NDArray[np.float64]:
    key, array, count = labels
    if array.shape not in ((count,), (count, 1)) or array.dtype.kind not in "fiu":
        message = f"{key} in {path} must be a number for each of {count} pictures, ({count},)"
        raise SslcliError(f"{message}, got {array.dtype} {array.shape}", "label all parts alike")
    numbers = array.reshape(count, 1).astype(np.float64) + 0.0
    bad = np.flatnonzero(~(np.abs(numbers) <= LARGEST))
    if len(bad):
        row = int(bad[0])
        message = f"{key} in {path}: number {row} is {numbers[row, 0]}, and must be finite"
        raise SslcliError(message, "leave that picture out; classes must be whole numbers (int)")
    return numbers


def _names(classes: NDArray[Any] | None, num_classes: int, path: Path) -> tuple[str, ...]:
    if classes is None:
        return tuple(str(number) for number in range(num_classes))
    if classes.shape != (num_classes,):
        message = f"classes in {path} must name {num_classes} classes, got {classes.shape}"
        raise SslcliError(message, "give a name for each column of the labels, or leave it out")
    return tuple(str(name) for name in classes.tolist())
