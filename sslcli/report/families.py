"""Sorts a run's curves into families, and thins them to what a screen shows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sslcli.report.curves import NOT_CURVES, Records, curves_of, phases_of, running_mean_at

LINE_POINTS, PANEL_POINTS = 1_500, 6_000
"""Points of a line, and of all lines of a panel, about: more than a screen shows."""

DIAGNOSTICS = (
    "feature_std",
    "effective_rank",
    "dead_dimensions",
    "uniformity",
    "alignment",
    "separation",
    "lidar",
)


@dataclass(frozen=True)
class Line:
    """Holds a curve's name, `x` and `y` (n,); lines of one `colour` belong together."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: int = 0


Panels = dict[str, list[Line]]
"""Lines by the metric that they show."""


def curves_by_family(
    records: Records, name: str = "", colour: int | None = None
) -> dict[str, Panels]:
    """Returns a run's curves over epochs by family, such as training or validation.

    Each phase has a line, in its own colour or in `colour`; the line's name begins with `name`.
    """
    in_epochs = [record for record in records if record.get("epoch")]
    phases = phases_of(curves_of(in_epochs))
    families: dict[str, Panels] = {"training": {}, "validation": {}}
    for while_training in (True, False):
        chosen = [record for record in in_epochs if ("loss" in record) == while_training]
        for metric, by_phase in curves_of(chosen).items():
            panels = families.setdefault(_family(metric, while_training), {})
            for phase, (x, y) in by_phase.items():
                words = [name, phase if len(phases) > 1 else ""]
                index = phases.index(phase) if colour is None else colour
                line = Line(" ".join(filter(None, words)), x, y, index)
                panels.setdefault(metric, []).append(line)
    return {family: panels for family, panels in families.items() if panels}


def most_points(num_lines: int) -> int:
    """Returns how many points a line may have in a panel of so many lines."""
    return max(40, min(LINE_POINTS, PANEL_POINTS // num_lines))


def thin(
    x: NDArray[np.float64], y: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns about `most` of the points (n,), the ends and all extremes among them."""
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most // 2, dtype=np.int64)
    indices = {0, len(x) - 1}
    for begin, end in itertools.pairwise(edges):
        indices |= {int(begin + y[begin:end].argmin()), int(begin + y[begin:end].argmax())}
    chosen = sorted(indices)
    return x[chosen], y[chosen]


def thinned_points(
    x: NDArray[np.float64], y: NDArray[np.float64], most: int
) -> dict[str, list[float]]:
    """Returns the thinned points to 5 digits, which keeps the page small."""
    axes = zip("xy", thin(x, y, most), strict=True)
    return {axis: [float(f"{value:.5g}") for value in values] for axis, values in axes}


def smooth(line: Line, most: int) -> Line:
    """Returns the running mean of a long curve at about `most` of its points, evenly spaced."""
    last = len(line.x) - 1
    indices = np.unique(np.linspace(0, last, min(most, last + 1)).round().astype(np.int64))
    return replace(line, x=line.x[indices], y=running_mean_at(line.y, indices))


def is_headline(metric: str) -> bool:
    """Tells whether a number measures a run's quality rather than its course."""
    return _family(metric, True) == "training" and metric not in NOT_CURVES


def _family(metric: str, while_training: bool) -> str:
    if metric.startswith("learning_rate"):
        return "learning rate"
    if metric in DIAGNOSTICS:
        return "diagnostics"
    return "training" if while_training else "validation"
