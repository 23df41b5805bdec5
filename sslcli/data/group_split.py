"""Keeps pictures of one group (a patient, a plate) on one side of every split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sslcli.errors import SslcliError

MAX_NAMED = 3


class SharedGroups(SslcliError):
    """Reports groups with pictures in two parts that the data bring."""


def grouped_sample(
    groups: NDArray[np.int64],
    labels: NDArray[np.int64] | None,
    fraction: float,
    order: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Returns (N,) bool: whole groups with about `fraction` of each class.

    `order` is a permutation of the groups: the first are tried first. A group is taken where that
    brings the numbers of the classes nearer to `fraction` of all, and leaves some of each class;
    where none is taken so, it is the smallest. Raises SslcliError for a single group.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    classes = (
        np.zeros_like(numbers) if labels is None else np.unique(labels, return_inverse=True)[1]
    )
    counts = np.zeros((len(order), int(classes.max()) + 1), dtype=np.int64)
    np.add.at(counts, (numbers, classes), 1)
    if len(counts) < 2:
        message = "all training pictures are of one group, and validation needs another"
        raise SslcliError(message, "bring validation pictures of your own, or data.groups=null")
    missing, left = fraction * counts.sum(axis=0), counts.sum(axis=0)
    chosen = np.zeros(len(counts), dtype=bool)
    for group in order:
        count = counts[group]
        nearer = ((missing - count) ** 2).sum() < (missing**2).sum()
        if nearer and (left > count)[count > 0].all():
            chosen[group] = True
            missing, left = missing - count, left - count
    if not chosen.any():
        chosen[order[np.argmin(counts.sum(axis=1)[order])]] = True
    return chosen[numbers]


def require_separate_groups(
    parts: Mapping[str, NDArray[np.int64] | None], names: Sequence[str]
) -> None:
    """Raises SharedGroups where two parts have pictures of one group; `names` of the groups."""
    there = {part: np.unique(groups) for part, groups in parts.items() if groups is not None}
    for number, part in enumerate(there):
        for other in list(there)[:number]:
            both = np.intersect1d(there[part], there[other])
            if len(both):
                raise _shared_groups_error(other, part, [names[group] for group in both.tolist()])


def _shared_groups_error(one: str, other: str, shared: Sequence[str]) -> SharedGroups:
    listed = ", ".join(map(repr, shared[:MAX_NAMED])) + (", ..." if len(shared) > MAX_NAMED else "")
    what = "group has" if len(shared) == 1 else "groups have"
    return SharedGroups(
        f"{len(shared)} {what} pictures in both {one} and {other}: {listed}",
        "move each group to one part; or data.groups=null, if these are no groups",
    )
