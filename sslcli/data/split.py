"""Holds validation out of training, and limits the training pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sslcli.data.group_split import grouped_sample
from sslcli.errors import SslcliError, require
from sslcli.seeding import derive_seed


class Part(Protocol):
    """Holds pictures, or their names, of which some can be chosen."""

    @property
    def labels(self) -> NDArray[np.int64] | None: ...

    @property
    def groups(self) -> NDArray[np.int64] | None: ...

    def __len__(self) -> int: ...

    def subset(self: P, indices: NDArray[np.int64]) -> P: ...

    def without_labels(self: P) -> P: ...


P = TypeVar("P", bound=Part)

MAX_NAMED = 5
"""Classes that a warning names."""


@dataclass(frozen=True)
class StoredParts(Generic[P]):
    """Holds the parts that a data set brings.

    `val` and `test` are None where it brings none; `warnings`, `no_labels` and `target_names` as in
    `Splits`.
    """

    train: P
    val: P | None = None
    test: P | None = None
    classes: tuple[str, ...] | None = None
    unlabelled: P | None = None
    warnings: tuple[str, ...] = ()
    no_labels: str | None = None
    target_names: tuple[str, ...] | None = None

    def without_labels(self, reason: str) -> StoredParts[P]:
        """Returns the same pictures, none with a label, and the reason as a warning."""
        return replace(
            self,
            train=self.train.without_labels(),
            val=self.val and self.val.without_labels(),
            test=self.test and self.test.without_labels(),
            classes=None,
            warnings=(*self.warnings, f"no labels: {reason}"),
            no_labels=reason,
        )


def divide(
    stored: StoredParts[P], val_fraction: float, limit: int | None, seed: int
) -> StoredParts[P]:
    """Holds `val` out of `train` where it is None, then limits the training pictures.

    `limit` holds for `unlabelled` too; `val` and `test` stay whole. Where there are labels, each
    class gives its share; what a part then lacks of them is a warning.
    """
    train, val = stored.train, stored.val
    if val is None:
        train, val = hold_out(train, val_fraction, derive_seed("validation", seed))
    if limit is not None:
        must_be = f"at most the {len(train)} training pictures that validation leaves"
        fix = "lower it, or leave it out to use them all"
        require(limit <= len(train), "data.limit", limit, must_be, fix)
        draw = derive_seed("limit", seed)
        train = train.subset(
            stratified_sample(train.labels, len(train), limit, draw, first=val.labels)
        )
    unlabelled = stored.unlabelled and without_groups_of(val, stored.unlabelled)
    if unlabelled is not None and limit is not None and limit < len(unlabelled):
        chosen = stratified_sample(None, len(unlabelled), limit, derive_seed("limit", seed))
        unlabelled = unlabelled.subset(chosen)
    lacking = [
        *_missing_class_warnings("training", train.labels, stored.train.labels, stored.classes),
        *_missing_class_warnings("validation", val.labels, stored.train.labels, stored.classes),
    ]
    warnings = (*stored.warnings, *lacking)
    return replace(stored, train=train, val=val, unlabelled=unlabelled, warnings=warnings)


def hold_out_test(stored: StoredParts[P], fraction: float, seed: int) -> StoredParts[P]:
    """Returns the parts with `fraction` of the training pictures as the test part."""
    assert stored.test is None, "there is a test part"
    train, test = hold_out(stored.train, fraction, derive_seed("test", seed))
    unlabelled = stored.unlabelled and without_groups_of(test, stored.unlabelled)
    return replace(stored, train=train, test=test, unlabelled=unlabelled)


def without_groups_of(held: P, others: P) -> P:
    """Returns those of `others` whose group has no picture in `held`."""
    if held.groups is None or others.groups is None:
        return others
    return others.subset(np.flatnonzero(~np.isin(others.groups, held.groups)))


def _missing_class_warnings(
    part: str,
    labels: NDArray[np.int64] | None,
    all_labels: NDArray[np.int64] | None,
    classes: tuple[str, ...] | None,
) -> list[str]:
    """Warns of the classes of which the part has no picture."""
    if labels is None or all_labels is None:
        return []
    everywhere = np.unique(all_labels)
    missing = np.setdiff1d(everywhere, labels).tolist()
    if not missing:
        return []
    names = [repr(classes[label]) if classes else str(label) for label in missing]
    more = ", ..." if len(names) > MAX_NAMED else ""
    return [
        f"{part} has no picture of {len(missing)} of the {len(everywhere)} classes: "
        f"{', '.join(names[:MAX_NAMED])}{more}"
    ]


def hold_out(train: P, fraction: float, seed: int) -> tuple[P, P]:
    """Splits `train` into training and validation: `fraction` of it, at least one.

    No group is in both.
    """
    if len(train) < 2:
        raise SslcliError(
            "there must be at least 2 training pictures, one of them for validation, "
            f"got {len(train)}",
            "add pictures",
        )
    if train.groups is not None:
        order = permutation(len(np.unique(train.groups)), derive_seed("groups", seed))
        whole = grouped_sample(train.groups, train.labels, fraction, order)
        return train.subset(np.flatnonzero(~whole)), train.subset(np.flatnonzero(whole))
    eligible = _eligible_rows(train)
    labels = None if train.labels is None else train.labels[eligible]
    count = max(1, round(fraction * len(train)))
    count = min(count, len(eligible), len(train) - 1)
    held = eligible[stratified_sample(labels, len(eligible), count, seed)]
    kept = np.delete(np.arange(len(train)), held)
    return train.subset(kept), train.subset(held)


def _eligible_rows(train: Part) -> NDArray[np.int64]:
    """Returns the rows that may become validation: no class may lose its only picture.

    Where every class has but one, all rows may: these labels can train nothing (`require_labels`
    says so), and pretraining uses none.
    """
    if train.labels is not None:
        _, numbers, sizes = np.unique(train.labels, return_inverse=True, return_counts=True)
        if sizes.max() > 1:
            return np.flatnonzero(sizes[numbers] > 1)
    return np.arange(len(train))


def stratified_sample(
    labels: NDArray[np.int64] | None,
    size: int,
    count: int,
    seed: int,
    first: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Returns `count` of `size` indices, ascending; each class in proportion.

    The largest remainders are rounded up; which of equal ones, the seed draws. In a balanced set
    (to one picture) of which every class gets some anyway, it is the first classes, as in runs
    already recorded. Where there are more classes than `count`, those among the labels `first` come
    first.
    """
    if labels is None:
        labels = np.zeros(size, dtype=np.int64)
    classes, sizes = np.unique(labels, return_counts=True)
    counts, remainders = np.divmod(sizes * count, size)
    last = np.zeros(len(classes), dtype=bool)
    if first is not None and count < len(classes):
        last = ~np.isin(classes, first)
    in_class_order = counts.min() > 0 and sizes.max() - sizes.min() <= 1
    ties = np.arange(len(classes))
    if not in_class_order:
        ties = permutation(len(classes), derive_seed("ties", seed))
    largest_first = np.lexsort((ties, -remainders, last))
    counts[largest_first[: count - counts.sum()]] += 1
    return draw_per_class(labels, dict(zip(classes.tolist(), counts.tolist(), strict=True)), seed)


def draw_per_class(
    labels: NDArray[np.int64], counts: dict[int, int], seed: int
) -> NDArray[np.int64]:
    """Draws `counts[label]` pictures of each class; returns their indices, ascending."""
    order = permutation(len(labels), seed)
    by_class = order[
        np.argsort(labels[order], kind="stable")
    ]  # each class in one piece, in the order of the shuffle
    starts = np.searchsorted(labels[by_class], list(counts)).tolist()
    return np.sort(
        np.concatenate(
            [by_class[at : at + num] for at, num in zip(starts, counts.values(), strict=True)]
        )
    )


def permutation(size: int, seed: int) -> NDArray[np.int64]:
    """Returns a permutation of 0 to `size` - 1.

    NumPy promises that PCG64's raw bits stay, not what `Generator` makes of them.
    """
    bits = np.random.PCG64(seed).random_raw(size)
    return np.argsort(bits, kind="stable").astype(np.int64)
