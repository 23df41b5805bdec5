"""Turns a run's records into curves, for figures, comparisons of runs and charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

Records = Sequence[dict[str, Any]]
"""The lines of one run's metrics.jsonl."""

NOT_CURVES = ("step", "epoch", "collapsed")
"""Numbers of a record that are not drawn."""
TITLES = {"knn_accuracy": "kNN accuracy", "feature_std": "spread of features"}
"""Titles of metrics that need more than spaces for underscores."""
FROM_ZERO = ("feature_std", "effective_rank")
"""Drawn from zero, where collapse is."""
MANY_POINTS = 120
"""From here on a curve is drawn pale, with its running mean over it."""
SAME = 1e-6
"""Values that differ by less, relative to the largest, differ by rounding only."""


class Curve(NamedTuple):
    """Holds the finite values (n,) of one metric in one phase, in the records' order."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


Curves = dict[str, dict[str, Curve]]
"""Curves by metric, then by phase."""


def curves_of(records: Records, x_axis: str = "epoch") -> Curves:
    """Collects the curves in records: the loss first, then in the order of appearance.

    A record without `x_axis` is left out, as is a value that is no finite number.
    """
    points: dict[str, dict[str, list[tuple[float, float]]]] = {"loss": {}}
    for record in records:
        phase = str(record.get("phase", ""))
        for metric, value in record.items():
            if x_axis in record and metric not in NOT_CURVES and is_number(value):
                of_metric = points.setdefault(metric, {})
                of_metric.setdefault(phase, []).append((record[x_axis], value))
    return {
        metric: {
            phase: Curve(*np.array(of_phase, dtype=np.float64).T)
            for phase, of_phase in phases.items()
        }
        for metric, phases in points.items()
        if phases
    }


def phases_of(curves: Curves) -> list[str]:
    return list(dict.fromkeys(phase for phases in curves.values() for phase in phases))


def running_mean(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages over about an 80th of the curve around each point; less at the ends."""
    window = np.ones(len(y) // 80 * 2 + 1)
    counts = np.convolve(np.ones(len(y)), window, mode="same")
    mean: NDArray[np.float64] = np.convolve(y, window, mode="same") / counts
    return mean


def running_mean_at(y: NDArray[np.float64], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns `running_mean` at a few places of a long curve, without the others."""
    half = len(y) // 80
    return np.array([y[max(0, index - half) : index + half + 1].mean() for index in indices])


def y_limits(metric: str, values: Iterable[NDArray[np.float64]]) -> tuple[float, float] | None:
    """Returns where the y axis begins and ends; None: around the values, as usual.

    The axis of a constant starts at zero. Around the value alone it would magnify rounding,
    or show digits that nobody measured.
    """
    every = np.concatenate(list(values))
    low, high = float(every.min()), float(every.max())
    constant = high - low <= SAME * max(abs(low), abs(high))
    if not constant and metric not in FROM_ZERO:
        return None
    if low == high == 0:
        return -0.05, 1.0  # below zero there is room for the line itself
    return 1.1 * min(low, 0.0), 1.1 * max(high, 0.0)


def title_of(metric: str) -> str:
    return TITLES.get(metric, metric.replace("_", " "))


def is_number(value: object) -> TypeGuard[int | float]:
    """Tells whether a value can be drawn: finite, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
