"""Draws a run's figures as PNG files: augmentation, curves, confusion matrix.

Shapes: N images, V views, C H W, K classes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.errors import SslcliError
from sslcli.report.curves import (
    MANY_POINTS,
    Curve,
    Records,
    curves_of,
    phases_of,
    running_mean,
    title_of,
    y_limits,
)
from sslcli.report.display import AS_THEY_ARE, Display
from sslcli.report.sheet import magnification, save_blocks, text_width
from sslcli.report.style import (
    INK,
    MAX_LINES,
    MUTED,
    PALE,
    Dashes,
    bare_figure,
    drawable,
    label_axes,
    look,
    marker,
    name_lines,
    new_panels,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

GAP_AFTER_ORIGINAL = 12
"""Pixels."""
MAX_PRINTED, MAX_NAMED = 20, 60
"""Classes up to which a confusion matrix shows its values, and its classes' names."""


def save_views(
    path: Path,
    images: NDArray[np.uint8],
    views: Sequence[Tensor],
    mean: Sequence[float],
    std: Sequence[float],
    display: Display = AS_THEY_ARE,
    names: Sequence[str] | None = None,
) -> None:
    """Draws the contact sheet: each of `images` (N, H, W, C), followed by its views.

    `views`, V tensors (N, C, H, W), are those that training gets; `mean` and `std` (C,) undo their
    normalisation. Pixels are magnified by a whole number, without smoothing; a small view stands in
    the middle of its cell. `names`: headings of the views, by default numbers.
    """
    side = max(images.shape[1], *(view.shape[-1] for view in views))
    named = names or [f"view {view + 1}" for view in range(len(views))]
    headings = ["original", *(drawable(name, 40) for name in named)]
    factor = magnification(side, at_least=max(map(text_width, headings)))
    columns = [_resized(display(images), side * factor)]
    for view in views:
        column = _resized(_denormalized(view, mean, std, display), view.shape[-1] * factor)
        columns.append(_centred(column, side * factor))
    cells = np.stack(columns, axis=1)
    save_blocks(path, cells, headings, GAP_AFTER_ORIGINAL, display.words)


def save_curves(
    path: Path | IO[bytes], records: Records, normal_loss: Mapping[str, float | None] | None = None
) -> None:
    """Draws a panel for every metric, over epochs; a line for every phase.

    `normal_loss`: values of the loss by name, drawn as dashed lines beside it. Raises SslcliError
    where there is nothing to draw.
    """
    x_axis = "epoch" if all("epoch" in record for record in records) else "step"
    curves = curves_of(records, x_axis)
    if not curves:
        raise SslcliError(
            "the run has no metrics to draw", "train it for at least one log_every steps"
        )
    num_columns = min(len(curves), 3 if len(curves) != 4 else 2)
    phases = phases_of(curves)
    named = phases if 1 < len(phases) <= MAX_LINES else []
    figure, panels = new_panels(
        len(curves), num_columns, legend=0.2 * math.ceil(len(named) / num_columns)
    )
    longest = max(record[x_axis] for record in records)
    looks = {phase: look(index) for index, phase in enumerate(phases)}
    for index, (metric, by_phase) in enumerate(curves.items()):
        axes = panels[index]
        for phase, curve in by_phase.items():
            _draw_curve(axes, curve, *looks[phase])
        if metric == "loss":
            _draw_levels(axes, normal_loss or {})
        axes.set_xlim(0, 1.02 * longest or None)
        limits = y_limits(metric, [curve.y for curve in by_phase.values()])
        if limits is not None:
            axes.set_ylim(limits)
        last = f"{curve.y[-1]:.4g}" if len(phases) == 1 else ""
        style_axes(axes, drawable(title_of(metric), 30 if last else 40), last)
        axes.locator_params(nbins=5)
        if index >= len(curves) - num_columns:
            label_axes(axes, x_axis)
    if named:
        name_lines(figure, named, num_columns)
    save_figure(figure, path)


def _draw_levels(axes: Axes, levels: Mapping[str, float | None]) -> None:
    """Draws named values across the panel; names of one value share its line."""
    names: dict[float, list[str]] = {}
    for name, level in levels.items():
        if level is not None:
            names.setdefault(level, []).append(name)
    for level, alike in names.items():
        axes.axhline(level, linestyle="--", linewidth=0.8, color="0.5")
        text, across = ", ".join(alike), axes.get_yaxis_transform()
        axes.text(0.99, level, text, transform=across, ha="right", va="bottom", color="0.4")


def save_confusion(
    path_png: Path, path_csv: Path, matrix: NDArray[np.int64], classes: Sequence[str]
) -> None:
    """Draws the confusion matrix (K, K) of counts, rows true, columns predicted.

    The picture shows percentages of every true class; the CSV holds the counts, under a heading
    of the classes.
    """
    assert matrix.shape == (len(classes), len(classes)), (
        f"{matrix.shape} counts of {len(classes)} classes"
    )
    with path_csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["true \\ predicted", *classes])
        writer.writerows([name, *row] for name, row in zip(classes, matrix.tolist(), strict=True))

    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(0.45 * len(classes) + 1.6, 4.0), 12.0)
    figure = bare_figure(side, side)
    axes = figure.add_subplot()
    heat = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    _name_classes(axes, classes)
    if len(classes) <= MAX_PRINTED:
        for (row, column), share in np.ndenumerate(shares):
            if matrix[row, column]:
                colour = "white" if share > 0.5 else INK
                axes.text(
                    column,
                    row,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=colour,
                )
    else:
        bar = figure.colorbar(heat, ax=axes, shrink=0.5, aspect=30, pad=0.02, ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0 %", "50 %", "100 %"], fontsize=7, color=MUTED)
        bar.ax.tick_params(color=PALE, length=2)
        bar.outline.set_visible(False)
    style_axes(axes, "confusion matrix: percent of each true class", grid=False)
    save_figure(figure, path_png, bbox_inches="tight", pad_inches=0.15)


def _denormalized(
    views: Tensor, mean: Sequence[float], std: Sequence[float], display: Display
) -> NDArray[np.uint8]:
    """Converts normalised (N, C, H, W) to (N, H, W, 1 or 3) uint8."""
    normalized = views.float().cpu().numpy().transpose(0, 2, 3, 1)
    return display.of_unit(np.clip(normalized * np.asarray(std) + np.asarray(mean), 0, 1))


def _resized(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Converts (N, H, W, C) to (N, size, size, 3) by repeating or dropping pixels."""
    rows = np.arange(size) * pictures.shape[1] // size
    columns = np.arange(size) * pictures.shape[2] // size
    resized = pictures[:, rows][:, :, columns]
    return resized.repeat(3, axis=3) if resized.shape[3] == 1 else resized


def _centred(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N, H, H, 3) -> (N, size, size, 3): in the middle of white."""
    left = size - pictures.shape[1]
    margins = (left // 2, left - left // 2)
    return np.pad(pictures, ((0, 0), margins, margins, (0, 0)), constant_values=255)


def _draw_curve(axes: Axes, curve: Curve, colour: str, dashes: Dashes) -> None:
    if len(curve.x) < MANY_POINTS:
        axes.plot(
            *curve, dashes, color=colour, linewidth=1.5, marker=marker(len(curve.x)), markersize=3
        )
        return
    axes.plot(*curve, color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(curve.x, running_mean(curve.y), dashes, color=colour, linewidth=1.6)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    label_axes(axes, "predicted", "true")
    if len(classes) > MAX_NAMED:
        return
    names = [drawable(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
