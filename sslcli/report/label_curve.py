"""Draws accuracy over the number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sslcli.report.style import COLOURS, drawable, label_axes, new_figure, save_figure, style_axes

Point = tuple[int, float, "float | None"]
"""Number of labels, mean accuracy in [0, 1], half the width of its interval where there is one."""

MARKERS = "osD^vPX"


def save_label_curve(path: Path, curves: Mapping[str, Sequence[Point]]) -> None:
    """Draws a line for every curve, its interval as a band.

    The number of labels has a logarithmic axis; accuracy is in percent.
    """
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for index, (name, points) in enumerate(curves.items()):
        points = sorted(points, key=lambda point: point[0])
        counts, means = [point[0] for point in points], [100 * point[1] for point in points]
        half = [100 * (point[2] or 0.0) for point in points]
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        axes.plot(
            counts,
            means,
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1.5,
            label=drawable(name, 40),
        )
        low, high = (
            [mean + sign * h for mean, h in zip(means, half, strict=True)] for sign in (-1, 1)
        )
        axes.fill_between(counts, low, high, color=colour, alpha=0.15, linewidth=0)
    style_axes(axes, "test accuracy [%], mean and 95 % interval over subsets")
    axes.set_xscale("log")
    ticks = sorted({point[0] for points in curves.values() for point in points})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    label_axes(axes, "labels")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    save_figure(figure, path)
