"""Who goes where: validation held out of the training pictures, and a limit on how many are used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sslcli.errors import SslcliError, require
from sslcli.seeding import derive_seed


class Part(Protocol):
    """Pictures, or the names of pictures, of which some can be chosen."""

    @property
    def labels(self) -> NDArray[np.int64] | None: ...

    def __len__(self) -> int: ...

    def subset(self: P, indices: NDArray[np.int64]) -> P: ...


P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Stored(Generic[P]):
    """The parts that a data set brings. `val` and `test` are None where it brings none."""

    train: P
    val: P | None = None
    test: P | None = None
    classes: tuple[str, ...] | None = None
    unlabelled: P | None = None


def divide(stored: Stored[P], val_fraction: float, limit: int | None, seed: int) -> Stored[P]:
    """`stored` with `val` held out of `train` where it was None, and then at most `limit` training pictures.

    `limit` holds for `unlabelled` too; `val` and `test` stay whole. Where there are labels, each class gives
    its share.
    """
    train, val = stored.train, stored.val
    if val is None:
        train, val = hold_out(train, val_fraction, derive_seed("validation", seed))
    if limit is None:
        return replace(stored, train=train, val=val)
    must_be = f"at most the {len(train)} training pictures that validation leaves"
    require(
        limit <= len(train),
        "data.limit",
        limit,
        must_be,
        "lower it, or leave it out to use them all",
    )
    train = train.subset(stratified(train.labels, len(train), limit, derive_seed("limit", seed)))
    unlabelled = stored.unlabelled
    if unlabelled is not None and limit < len(unlabelled):
        chosen = stratified(None, len(unlabelled), limit, derive_seed("limit", seed))
        unlabelled = unlabelled.subset(chosen)
    return replace(stored, train=train, val=val, unlabelled=unlabelled)


def hold_out(train: P, fraction: float, seed: int) -> tuple[P, P]:
    """Training and validation pictures: `fraction` of `train`, at least one, is the latter."""
    if len(train) < 2:
        raise SslcliError(
            f"there must be at least 2 training pictures, one of them for validation, got {len(train)}",
            "add pictures",
        )
    count = min(max(1, round(fraction * len(train))), len(train) - 1)
    held = stratified(train.labels, len(train), count, seed)
    kept = np.delete(np.arange(len(train)), held)
    return train.subset(kept), train.subset(held)


def stratified(
    labels: NDArray[np.int64] | None, size: int, count: int, seed: int
) -> NDArray[np.int64]:
    """`count` of `size` indices, ascending; each class in proportion, the largest remainders rounded up."""
    if labels is None:
        labels = np.zeros(size, dtype=np.int64)
    classes, sizes = np.unique(labels, return_counts=True)
    counts, remainders = np.divmod(sizes * count, size)
    largest_first = np.argsort(-remainders, kind="stable")
    counts[largest_first[: count - counts.sum()]] += 1
    return take_per_class(labels, dict(zip(classes.tolist(), counts.tolist(), strict=True)), seed)


def take_per_class(
    labels: NDArray[np.int64], counts: dict[int, int], seed: int
) -> NDArray[np.int64]:
    """Indices, ascending, of `counts[label]` pictures drawn from each class."""
    order = shuffled(len(labels), seed)
    by_class = order[
        np.argsort(labels[order], kind="stable")
    ]  # each class in one piece, in the order of the shuffle
    starts = np.searchsorted(labels[by_class], list(counts)).tolist()
    return np.sort(
        np.concatenate(
            [by_class[at : at + num] for at, num in zip(starts, counts.values(), strict=True)]
        )
    )


def shuffled(size: int, seed: int) -> NDArray[np.int64]:
    """A permutation. NumPy promises that PCG64's raw bits stay, not what `Generator` makes of them."""
    bits = np.random.PCG64(seed).random_raw(size)
    return np.argsort(bits, kind="stable").astype(np.int64)
