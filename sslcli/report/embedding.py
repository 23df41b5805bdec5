"""Draws a map of features: a point for every picture, coloured by class.

Shapes: N pictures, K classes.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.report.style import COLOURS, drawable, new_figure, save_figure, style_axes

TEN = (*COLOURS, "#65a30d", "#dc2626", "#78716c", "#c026d3")
MAX_NAMED = 20
"""Classes up to which they are named beside the map."""


def class_colours(num_classes: int) -> list[str]:
    """Returns a colour for every class: hues all around the circle for more than ten."""
    if num_classes <= len(TEN):
        return list(TEN[:num_classes])
    colours = []
    for index in range(num_classes):
        red, green, blue = colorsys.hls_to_rgb(index / num_classes, 0.5, 0.65)
        colours.append(f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}")
    return colours


def class_names(labels: NDArray[np.int64] | None, classes: Sequence[str] | None) -> list[str]:
    """Returns the classes' names, or numbers instead; nothing without labels."""
    if labels is None:
        return []
    num_classes = int(labels.max(initial=-1)) + 1
    return list(classes) if classes else [str(index) for index in range(num_classes)]


def save_map(
    path: Path,
    points: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    names: Sequence[str],
    title: str,
) -> None:
    """Draws `points` (N, 2), coloured by `labels` (N,) into `names` (K,), if any."""
    colours = class_colours(len(names))
    has_legend = 0 < len(names) <= MAX_NAMED
    figure = new_figure(7.5 if has_legend else 6, 6)
    axes = figure.add_subplot()
    shown = COLOURS[0] if labels is None else [colours[label] for label in labels]
    axes.scatter(points[:, 0], points[:, 1], c=shown, s=9, alpha=0.75, linewidths=0)
    style_axes(axes, drawable(title, 80), grid=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    if has_legend:
        dots = [axes.plot([], [], "o", markersize=5, color=colour)[0] for colour in colours]
        axes.legend(
            dots,
            [drawable(name) for name in names],
            loc="upper left",
            bbox_to_anchor=(1, 1),
            frameon=False,
            fontsize=8,
        )
    save_figure(figure, path)
