"""The curves of several runs in one figure: repetitions in one colour, each a thin line, and their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sslcli.report.style import DPI, MUTED, Dashes, drawable, look, name_lines, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records = Sequence[dict[str, Any]]
"""Of one run, as in its metrics.jsonl."""
Panel = tuple[str, str]
"""A phase, and a number of its records."""
Curve = dict[float, float]
"""Values by epoch."""

MAX_PANELS = 12


def save_run_curves(
    path: Path, groups: Mapping[str, Sequence[Records]], metrics: Sequence[str]
) -> int:
    """One panel for each of `metrics` that some run recorded, in each of its phases, over epochs. Returns how many there
    are: without any no file is written, and those after MAX_PANELS are not drawn.

    `groups`: by name the runs that are repetitions of each other.
    """
    from matplotlib.figure import Figure

    every = _panels([records for runs in groups.values() for records in runs], metrics)
    panels = every[:MAX_PANELS]
    if not panels:
        return 0
    num_columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    num_rows = math.ceil(len(panels) / num_columns)
    figure = Figure(figsize=(max(6.4, 4.6 * num_columns), 3.2 * num_rows + 0.4), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    several_phases = len({phase for phase, _ in panels}) > 1
    for place, (phase, metric) in enumerate(panels, start=1):
        axes = figure.add_subplot(num_rows, num_columns, place)
        for index, runs in enumerate(groups.values()):
            curves = [curve for records in runs if (curve := _curve(records, phase, metric))]
            _draw(axes, curves, *look(index))
        title = metric.replace("_", " ")
        style_axes(axes, drawable(f"{phase}: {title}" if several_phases else title, 40))
        if place > len(panels) - num_columns:
            axes.set_xlabel("epoch", fontsize=8, color=MUTED)
    name_lines(figure, list(groups), min(num_columns, 2) if len(groups) > 3 else 1)
    figure.savefig(path)
    return len(every)


def _panels(runs: Sequence[Records], metrics: Sequence[str]) -> list[Panel]:
    """Phase by phase as they come."""
    recorded = dict.fromkeys(
        (str(record.get("phase", "")), name)
        for records in runs
        for record in records
        for name in record
    )
    phases = dict.fromkeys(phase for phase, _ in recorded)
    return [
        (phase, metric)
        for phase in phases
        for metric in dict.fromkeys(metrics)
        if any(_curve(records, phase, metric) for records in runs)
    ]


def _curve(records: Records, phase: str, metric: str) -> Curve:
    """The finite values."""
    return {
        float(record["epoch"]): float(record[metric])
        for record in records
        if str(record.get("phase", "")) == phase
        and "epoch" in record
        and _is_number(record.get(metric))
    }


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _draw(axes: Axes, curves: Sequence[Curve], colour: str, line: Dashes) -> None:
    """The mean is drawn where all repetitions have a value."""
    alone = len(curves) == 1
    for curve in curves:
        marker = "o" if len(curve) <= (30 if alone else 1) else None
        width, alpha = (1.5, 1.0) if alone else (0.7, 0.45)
        axes.plot(
            *_points(curve),
            line,
            color=colour,
            linewidth=width,
            alpha=alpha,
            marker=marker,
            markersize=3,
        )
    if len(curves) > 1 and (shared := set(curves[0]).intersection(*curves[1:])):
        mean = {epoch: float(np.mean([curve[epoch] for curve in curves])) for epoch in shared}
        axes.plot(*_points(mean), line, color=colour, linewidth=1.8)


def _points(curve: Curve) -> tuple[list[float], list[float]]:
    epochs = sorted(curve)
    return epochs, [curve[epoch] for epoch in epochs]
