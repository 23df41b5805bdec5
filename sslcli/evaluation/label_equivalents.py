"""Tells how many times the labels pretraining is worth.

A curve is measured as accuracies (S, P): S subsets of the labels at P numbers of labels; row s of
two curves saw the same labels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sslcli.evaluation.scores import mean_and_interval, student_t

STEPS = 100
"""Numbers of labels that are tried between two measured ones."""


@dataclass(frozen=True)
class LabelEquivalent:
    """Says with how many times the labels a reference is as accurate.

    `ratio`: the estimate; None where the reference reaches that accuracy at none of its numbers of
    labels, or has it at all of them. `low`, `high`: the ends of the 95 % interval; None where it is
    open: the reference's curve ends inside it.
    """

    num_labels: int
    ratio: float | None
    low: float | None
    high: float | None
    gain: float
    """The mean difference of the accuracies at `num_labels`."""
    gain_interval: float | None
    """Half the width of its 95 % interval; None where both were measured once."""

    @property
    def is_better(self) -> bool:
        """Tells whether pretraining is better beyond chance, at this number of labels."""
        return self.gain_interval is not None and self.gain > self.gain_interval

    @property
    def is_worse(self) -> bool:
        return self.gain_interval is not None and -self.gain > self.gain_interval


def label_equivalents(
    counts: Sequence[int],
    accuracies: NDArray[np.float64],
    reference: NDArray[np.float64],
    once: Collection[int] = (),
) -> list[LabelEquivalent]:
    """Compares a curve with a reference, both (S, P), at `counts`, P ascending numbers of labels.

    `once`: the numbers of labels at which all rows repeat one measurement of each curve, which has
    no interval.

    At N labels it is asked at which number the reference, interpolated in the logarithm of the
    number, is as accurate. The estimate is where the mean difference changes sign. The interval is
    of all numbers at which the differences, one of each subset, could have the mean 0 by Student's
    t at 5 %. Since subsets of one row share labels, their differences are taken row by row.
    """
    assert accuracies.shape == reference.shape == (len(accuracies), len(counts))
    assert list(counts) == sorted(set(counts)), "numbers of labels ascend"
    tried, between = interpolated(counts, reference)
    rows = {count: 1 if count in once else len(accuracies) for count in counts}
    return [
        _equivalent(
            count,
            accuracies[: rows[count], [at]] - between[: rows[count]],
            (accuracies - reference)[: rows[count], at],
            tried,
        )
        for at, count in enumerate(counts)
    ]


def interpolated(
    counts: Sequence[int], reference: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns numbers of labels (T,) and the reference's accuracies there (S, T)."""
    measured = np.log(np.array(counts, dtype=np.float64))
    steps = [np.linspace(a, b, STEPS, endpoint=False) for a, b in pairwise(measured)]
    tried = np.concatenate([*steps, measured[-1:]])
    return np.exp(tried), np.stack([np.interp(tried, measured, row) for row in reference])


def _equivalent(
    count: int,
    differences: NDArray[np.float64],
    here: NDArray[np.float64],
    tried: NDArray[np.float64],
) -> LabelEquivalent:
    """`differences` (S, T): accuracy minus the reference's at the `tried` numbers of labels."""
    gain, gain_interval = mean_and_interval(here.tolist())
    means, num_subsets = differences.mean(axis=0), len(differences)
    low = high = None
    if num_subsets > 1:
        half_widths = (
            student_t(num_subsets) * differences.std(axis=0, ddof=1) / math.sqrt(num_subsets)
        )
        possible = np.flatnonzero(np.abs(means) <= half_widths)
        first, last = (possible[0], possible[-1]) if len(possible) else _ends(means)
        low = float(tried[first] / count) if first > 0 else None
        high = float(tried[last] / count) if 0 <= last < len(tried) - 1 else None
    crossing = np.flatnonzero((means[:-1] > 0) & (means[1:] <= 0))
    ratio = float(tried[crossing[0] + 1] / count) if len(crossing) else None
    return LabelEquivalent(count, ratio, low, high, gain, gain_interval)


def _ends(means: NDArray[np.float64]) -> tuple[int, int]:
    """Returns the indices of the interval's ends where no tried number is possible.

    They are beside the first change of sign, or beyond the end that is nearer.
    """
    changes = np.flatnonzero((means[:-1] > 0) != (means[1:] > 0))
    if len(changes):
        return int(changes[0]), int(changes[0]) + 1
    return (len(means) - 1, len(means) - 1) if means[-1] > 0 else (0, 0)
