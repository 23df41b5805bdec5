"""Draws several runs' curves: repetitions thin, in one colour, and their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from sslcli.report.curves import Curve, Curves, Records, curves_of, phases_of, title_of, y_limits
from sslcli.report.style import (
    Dashes,
    drawable,
    label_axes,
    look,
    marker,
    name_lines,
    new_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_PANELS = 12


def save_run_curves(
    path: Path | IO[bytes], groups: Mapping[str, Sequence[Records]], metrics: Sequence[str]
) -> int:
    """Draws a panel for each of `metrics` that was recorded, in each phase.

    `groups`: runs that are repetitions of each other, by name. Returns the number of panels:
    those after MAX_PANELS are not drawn, and without any no file is written.
    """
    of_runs = [[curves_of(records) for records in runs] for runs in groups.values()]
    every = _panels([curves for runs in of_runs for curves in runs], metrics)
    panels = every[:MAX_PANELS]
    if not panels:
        return 0
    num_columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    num_rows = math.ceil(len(panels) / num_columns)
    figure = new_figure(max(6.4, 4.6 * num_columns), 3.2 * num_rows + 0.4)
    several_phases = len({phase for phase, _ in panels}) > 1
    for number, (phase, metric) in enumerate(panels, start=1):
        axes = figure.add_subplot(num_rows, num_columns, number)
        drawn = [
            [curve for curves in runs if (curve := curves.get(metric, {}).get(phase))]
            for runs in of_runs
        ]
        for index, repetitions in enumerate(drawn):
            _draw(axes, repetitions, *look(index))
        curves = [curve for repetitions in drawn for curve in repetitions]
        axes.set_xlim(0, 1.02 * max(float(curve.x.max()) for curve in curves) or None)
        limits = y_limits(metric, [curve.y for curve in curves])
        if limits is not None:
            axes.set_ylim(limits)
        title = title_of(metric)
        style_axes(axes, drawable(f"{phase}: {title}" if several_phases else title, 40))
        if number > len(panels) - num_columns:
            label_axes(axes, "epoch")
    name_lines(figure, list(groups), min(num_columns, 2) if len(groups) > 3 else 1)
    save_figure(figure, path)
    return len(every)


def _panels(of_runs: Sequence[Curves], metrics: Sequence[str]) -> list[tuple[str, str]]:
    """Returns (phase, metric) of every panel, phases in the order of appearance."""
    phases = dict.fromkeys(phase for curves in of_runs for phase in phases_of(curves))
    return [
        (phase, metric)
        for phase in phases
        for metric in dict.fromkeys(metrics)
        if any(phase in curves.get(metric, {}) for curves in of_runs)
    ]


def _draw(axes: Axes, repetitions: Sequence[Curve], colour: str, dashes: Dashes) -> None:
    """Draws the curves, and their mean over the epochs that all of them share."""
    if len(repetitions) == 1:
        (curve,) = repetitions
        axes.plot(
            *curve, dashes, color=colour, linewidth=1.5, marker=marker(len(curve.x)), markersize=3
        )
        return
    for curve in repetitions:
        only_point = "o" if len(curve.x) == 1 else None
        axes.plot(
            *curve, dashes, color=colour, linewidth=0.7, alpha=0.45, marker=only_point, markersize=3
        )
    by_epoch = [dict(zip(curve.x, curve.y, strict=True)) for curve in repetitions]
    if by_epoch and (shared := sorted(set(by_epoch[0]).intersection(*by_epoch[1:]))):
        mean = [np.mean([values[epoch] for values in by_epoch]) for epoch in shared]
        axes.plot(shared, mean, dashes, color=colour, linewidth=1.8)
