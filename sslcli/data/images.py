"""Defines sets of pictures, in memory or not, and the parts of a data set."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sslcli.data.blocks import Blocks, joined
from sslcli.preprocessing import Range

T = TypeVar("T")

BLOCK_VALUES = 2**24
"""Values of pictures that are read at a time."""


class Track(Protocol):
    """Passes `items` on, and shows how many of `total` have gone by."""

    def __call__(self, items: Iterable[T], *, total: int, label: str) -> Iterable[T]: ...


def untracked(items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
    return items


class Pixels(Protocol):
    """Gives some of (N, H, W, C) pixels when asked for: uint8, uint16, or float32 in [0, 1].

    They are an array, one mapped from a file, or files of pictures.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: slice | NDArray[np.int64], /) -> NDArray[Any]: ...


@dataclass(frozen=True)
class LazySubset:
    """Selects the pictures `rows` of `source`, which are read when asked for."""

    source: Pixels
    rows: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.source.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: slice | NDArray[np.int64], /) -> NDArray[Any]:
        return self.source[self.rows[chosen]]


@dataclass(frozen=True)
class FittedPixels:
    """Gives pictures of `source` as an encoder is fed them, when asked for.

    `fit` maps (N, H, W, C) to (N, side, side, C) of the same type, given `aspects` (N,) or None.
    """

    source: Pixels
    side: int
    fit: Callable[[NDArray[Any], NDArray[np.float64] | None, int], NDArray[Any]]
    aspects: NDArray[np.float64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.source), self.side, self.side, self.source.shape[3])

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, chosen: slice | NDArray[np.int64], /) -> NDArray[Any]:
        aspects = None if self.aspects is None else self.aspects[chosen]
        return self.fit(self.source[chosen], aspects, self.side)


def dtype_of(images: Pixels) -> np.dtype[Any]:
    """Returns the type of the values, without reading a picture."""
    return images.dtype if isinstance(images, np.ndarray) else images[:0].dtype


def in_blocks(images: Pixels) -> Iterator[NDArray[Any]]:
    """Yields all pictures, a few at a time, in order."""
    size = max(1, BLOCK_VALUES // math.prod(images.shape[1:]))
    for start in range(0, len(images), size):
        yield images[start : start + size]


def select(images: Pixels, chosen: slice | NDArray[np.int64]) -> Pixels:
    """Returns some of the pictures; of a `LazySubset` without reading them."""
    if isinstance(images, FittedPixels):
        aspects = None if images.aspects is None else images.aspects[chosen]
        return replace(images, source=select(images.source, chosen), aspects=aspects)
    if isinstance(images, LazySubset):
        return LazySubset(images.source, images.rows[chosen])
    return images[chosen]


def evenly_spaced(num_there: int, at_most: int) -> NDArray[np.int64]:
    """Returns up to `at_most` indices, ascending, evenly spaced from first to last."""
    chosen: NDArray[np.int64] = (
        np.linspace(0, num_there - 1, min(num_there, at_most)).round().astype(np.int64)
    )
    return chosen


@dataclass(frozen=True)
class JoinedPixels:
    """Puts pictures of several sources one after the other; they are read when asked for."""

    sources: tuple[Pixels, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.sources[0].shape[1:])

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> NDArray[Any]:
        rows = np.arange(len(self))[chosen]
        pixels = np.empty((len(rows), *self.shape[1:]), dtype=dtype_of(self.sources[0]))
        start = 0
        for source in self.sources:
            inside = (rows >= start) & (rows < start + len(source))
            if inside.any():
                pixels[inside] = source[rows[inside] - start]
            start += len(source)
        return pixels


@dataclass(frozen=True)
class ImageSet:
    """Holds N square pictures.

    `images` (N, H, W, C), `labels` (N,) int64 or None; `paths` of the files they came from,
    and `digests` (N, 16) uint8 of these files' bytes. `groups` (N,) int64: those of one number stay
    on one side of every split. `targets` in place of labels: (N, T) bool, which of T classes each
    picture has, or (N, 1) float64, its number. `blocks`: in which order they are trained on, where
    not all can be at hand. `aspects` (N,): width over height of pictures that were squeezed to
    squares.
    """

    images: Pixels
    labels: NDArray[np.int64] | None = None
    paths: tuple[str, ...] | None = None
    digests: NDArray[np.uint8] | None = None
    groups: NDArray[np.int64] | None = None
    targets: NDArray[np.bool_] | NDArray[np.float64] | None = None
    blocks: Blocks | None = None
    aspects: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def resolution(self) -> int:
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        return int(self.images.shape[3])

    def subset(self, indices: NDArray[np.int64]) -> ImageSet:
        labels = None if self.labels is None else self.labels[indices]
        paths = None if self.paths is None else tuple(self.paths[i] for i in indices)
        digests = None if self.digests is None else self.digests[indices]
        groups = None if self.groups is None else self.groups[indices]
        targets = None if self.targets is None else self.targets[indices]
        blocks = None if self.blocks is None else self.blocks.subset(indices)
        aspects = None if self.aspects is None else self.aspects[indices]
        images = select(self.images, indices)
        return ImageSet(images, labels, paths, digests, groups, targets, blocks, aspects)

    def without_labels(self) -> ImageSet:
        return replace(self, labels=None, targets=None)

    @cached_property
    def fingerprint(self) -> str:
        """Returns 16 hex digits of SHA-256 over shape, pixels, labels and targets.

        They are equal exactly where the training data are equal. Of pictures from files the files'
        bytes stand for the pixels, so that none needs to be decoded. What is fitted for an encoder
        is the same data.
        """
        images = self.images.source if isinstance(self.images, FittedPixels) else self.images
        digest = hashlib.sha256(repr(images.shape).encode())
        kind = dtype_of(images).name
        if kind != "uint8":
            digest.update(kind.encode())
        stored = in_blocks(images) if self.digests is None else [self.digests]
        for block in stored:
            digest.update(np.ascontiguousarray(block).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels).data)
        if self.targets is not None:
            digest.update(f"{self.targets.dtype} {self.targets.shape}".encode())
            digest.update(np.ascontiguousarray(self.targets).data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Splits:
    """Holds the parts of a data set.

    Whatever is chosen is chosen on `val`; `test` is read once, by the final evaluation.

    `unlabelled`: pictures beyond `train` that pretraining may use and a probe may not (STL-10's
    unlabelled part). `warnings`: what the user should know about the data, a line each (pictures
    that could not be decoded). `no_labels`: why labels that the data bring are not used.
    `target_names`: of the columns of the parts' targets. `range`: the values of the files that
    mean 0 and 1, None: 0 and 255. `shown`: the channels that pictures of them show as red, green
    and blue, counted from 0; None: the first three.
    """

    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    classes: tuple[str, ...] | None = None
    unlabelled: ImageSet | None = None
    warnings: tuple[str, ...] = field(default=())
    no_labels: str | None = None
    target_names: tuple[str, ...] | None = None
    range: Range | None = None
    shown: tuple[int, ...] | None = None

    @property
    def num_classes(self) -> int:
        """Returns one more than the largest label of any part; needs labels."""
        parts = (self.train, self.val, self.test)
        return 1 + max(
            int(part.labels.max()) for part in parts if part is not None and part.labels is not None
        )

    @property
    def num_groups(self) -> dict[str, int]:
        """Returns how many groups each part has; {} where the data have none.

        Raises AssertionError where two parts share one: `split.py` must not let it happen.
        """
        parts = {"training": self.train, "validation": self.val, "test": self.test}
        found = {
            name: set(part.groups.tolist())
            for name, part in parts.items()
            if part is not None and part.groups is not None
        }
        together = set().union(*found.values())
        assert len(together) == sum(map(len, found.values())), "a group is on two sides of a split"
        return {name: len(groups) for name, groups in found.items()}

    @cached_property
    def pretraining(self) -> ImageSet:
        """Returns pictures for pretraining: `train` and `unlabelled`, never the others."""
        if self.unlabelled is None:
            return self.train
        parts = self.train, self.unlabelled
        images = JoinedPixels(tuple(part.images for part in parts))
        aspects = [part.aspects for part in parts if part.aspects is not None]
        paths = [part.paths for part in parts if part.paths is not None]
        return ImageSet(
            images,
            paths=paths[0] + paths[1] if len(paths) == len(parts) else None,
            blocks=joined([part.blocks for part in parts]),
            aspects=np.concatenate(aspects) if aspects else None,
        )

    @cached_property
    def fingerprint(self) -> str:
        parts = [self.train, self.val, self.test, self.unlabelled]
        digests = "-".join("none" if part is None else part.fingerprint for part in parts)
        return hashlib.sha256(digests.encode()).hexdigest()[:16]
