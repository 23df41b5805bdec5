"""Figures of a run, as PNG files: what the augmentation does, how training went, what is mistaken for what.

matplotlib is imported inside the functions and without pyplot: nothing global is opened, nothing is left to close.
Shapes: N images, V views, C H W, K classes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sslcli.errors import SslcliError
from sslcli.report.sheet import magnification, save_blocks
from sslcli.report.style import (
    DPI,
    INK,
    MAX_LINES,
    MUTED,
    PALE,
    Dashes,
    drawable,
    look,
    name_lines,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

GAP_AFTER_ORIGINAL = 12
"""Pixels."""

NOT_CURVES = ("step", "epoch", "collapsed")
"""Numbers of a record that are not worth a panel."""
TITLES = {"knn_accuracy": "kNN accuracy", "feature_std": "spread of features"}
"""Where a metric's name with spaces for underscores would not do."""
FROM_ZERO = ("feature_std", "effective_rank")
"""Drawn from zero, where collapse is."""
MANY_POINTS = 120
"""From here on a curve is drawn pale, and its running mean over it."""

MAX_PRINTED, MAX_NAMED = 20, 60
"""Classes up to which a confusion matrix shows its values, and its classes' names."""


def save_views(
    path: Path,
    images: NDArray[np.uint8],
    views: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """The contact sheet: `images` (N, H, W, C), each followed by its V views, (V, N, C, H, W) as training gets them.

    `mean` and `std` (C,) undo the views' normalisation. Pixels are magnified by a whole number, without smoothing.
    """
    size = views.shape[-1] * magnification(views.shape[-1])
    columns = [images, *_denormalized(views, mean, std)]
    cells = np.stack([_resized(column, size) for column in columns], axis=1)
    headings = ["original", *(f"view {view + 1}" for view in range(len(views)))]
    save_blocks(path, cells, headings, GAP_AFTER_ORIGINAL)


def save_curves(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """One panel for every number in the records of metrics.jsonl, over epochs; a line for every phase.

    Raises SslcliError where there is nothing to draw.
    """
    from matplotlib.figure import Figure

    x_axis = "epoch" if all("epoch" in record for record in records) else "step"
    curves = _curves(records, x_axis)
    if not curves:
        raise SslcliError(
            "the run has no metrics to draw", "train it for at least one log_every steps"
        )
    num_columns = min(len(curves), 3 if len(curves) != 4 else 2)
    num_rows = math.ceil(len(curves) / num_columns)
    phases = list(dict.fromkeys(phase for lines in curves.values() for phase in lines))
    named = phases if 1 < len(phases) <= MAX_LINES else []
    below = 0.2 * math.ceil(len(named) / num_columns)
    figure = Figure(figsize=(4.0 * num_columns, 2.6 * num_rows + 0.2 + below), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    longest = max(record[x_axis] for record in records)
    looks = {phase: look(index) for index, phase in enumerate(phases)}
    for index, (name, lines) in enumerate(curves.items()):
        axes = figure.add_subplot(num_rows, num_columns, index + 1)
        for phase, points in lines.items():
            _draw_curve(axes, points, *looks[phase])
        last = points[-1, 1]
        axes.set_xlim(0, 1.02 * longest or None)
        if name in FROM_ZERO:
            axes.set_ylim(
                0, 1.1 * max(float(points[:, 1].max()) for points in lines.values()) or None
            )
        style_axes(
            axes,
            TITLES.get(name, name.replace("_", " ")),
            f"{last:.4g}" if len(phases) == 1 else "",
        )
        if index >= len(curves) - num_columns:
            axes.set_xlabel(x_axis, fontsize=8, color=MUTED)
    if named:
        name_lines(figure, named, num_columns)
    figure.savefig(path)


def save_confusion(
    path_png: Path, path_csv: Path, matrix: NDArray[np.int64], classes: Sequence[str]
) -> None:
    """The confusion matrix (K, K) of counts, rows true, columns predicted.

    The picture shows the share of every true class in percent; the CSV the counts, under a heading of the classes.
    """
    from matplotlib.figure import Figure

    assert matrix.shape == (len(classes), len(classes)), (
        f"{matrix.shape} counts of {len(classes)} classes"
    )
    with path_csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["true \\ predicted", *classes])
        writer.writerows([name, *row] for name, row in zip(classes, matrix.tolist(), strict=True))

    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(0.45 * len(classes) + 1.6, 4.0), 12.0)
    figure = Figure(figsize=(side, side), dpi=DPI)
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
    figure.savefig(path_png, bbox_inches="tight", pad_inches=0.15)


def _denormalized(views: Tensor, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.uint8]:
    """(V, N, C, H, W) normalised -> (V, N, H, W, C) uint8."""
    values = views.float().cpu().numpy().transpose(0, 1, 3, 4, 2) * np.asarray(std) + np.asarray(
        mean
    )
    pictures: NDArray[np.uint8] = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return pictures


def _resized(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N, H, W, C) -> (N, size, size, 3), every pixel being its nearest one; grey stays grey."""
    rows = np.arange(size) * pictures.shape[1] // size
    columns = np.arange(size) * pictures.shape[2] // size
    resized = pictures[:, rows][:, :, columns]
    return resized.repeat(3, axis=3) if resized.shape[3] == 1 else resized[..., :3]


def _curves(
    records: Sequence[dict[str, Any]], x_axis: str
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """name -> phase -> (n, 2) finite points; the loss first, then in the order of appearance."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {"loss": {}}
    for record in records:
        for name, value in record.items():
            number = (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and math.isfinite(value)
            )
            if number and name not in NOT_CURVES:
                found.setdefault(name, {}).setdefault(str(record.get("phase", "")), []).append(
                    (record[x_axis], value)
                )
    return {
        name: {phase: np.array(points, dtype=np.float64) for phase, points in lines.items()}
        for name, lines in found.items()
        if lines
    }


def _draw_curve(axes: Axes, points: NDArray[np.float64], colour: str, line: Dashes) -> None:
    x, y = points.T
    if len(points) < MANY_POINTS:
        marker = "o" if len(points) <= 30 else None
        axes.plot(x, y, line, color=colour, linewidth=1.5, marker=marker, markersize=3)
        return
    axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.3)
    window = np.ones(len(points) // 80 * 2 + 1)
    counts = np.convolve(np.ones(len(points)), window, mode="same")
    axes.plot(x, np.convolve(y, window, mode="same") / counts, line, color=colour, linewidth=1.6)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    axes.set_xlabel("predicted", fontsize=8, color=MUTED)
    axes.set_ylabel("true", fontsize=8, color=MUTED)
    if len(classes) > MAX_NAMED:
        return
    names = [drawable(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
