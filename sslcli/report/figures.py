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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

DPI = 120
INK, MUTED, PALE = "#1f2937", "#6b7280", "#e5e7eb"
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2")

CELL = 84
"""Pixels that a small picture of a sheet is magnified to, about."""
GAP, GAP_AFTER_ORIGINAL, GAP_BETWEEN_BLOCKS, MARGIN, HEADING = 4, 12, 36, 16, 20
"""Pixels."""
SHEET_SHAPE = 1.6
"""Width over height that a sheet comes near to."""

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
    path: Path, images: NDArray[np.uint8], views: Tensor, mean: Sequence[float], std: Sequence[float]
) -> None:
    """The contact sheet: `images` (N, H, W, C), each followed by its V views, (V, N, C, H, W) as training gets them.

    `mean` and `std` (C,) undo the views' normalisation. Pixels are magnified by a whole number, without smoothing.
    """
    from matplotlib.figure import Figure

    scale = max(1, round(CELL / views.shape[-1]))
    size = views.shape[-1] * scale
    columns = [images, *_denormalized(views, mean, std)]
    cells = np.stack([_resized(column, size) for column in columns], axis=1)
    num_rows = _num_rows(len(cells), cells.shape[1])
    blocks = [_block(cells[first : first + num_rows], num_rows) for first in range(0, len(cells), num_rows)]
    gap = np.full((blocks[0].shape[0], GAP_BETWEEN_BLOCKS, 3), 255, np.uint8)
    sheet = np.concatenate([part for block in blocks for part in (gap, block)][1:], axis=1)
    sheet = np.pad(sheet, ((MARGIN + HEADING, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)
    height, width = sheet.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.figimage(sheet, origin="upper")
    for centre, words in _headings(len(blocks), len(views), size):
        top = 1 - (MARGIN + HEADING / 2) / height
        figure.text(centre / width, top, words, ha="center", va="center", fontsize=7, color=MUTED)
    figure.savefig(path)


def save_curves(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """One panel for every number in the records of metrics.jsonl, over epochs; a line for every phase.

    Raises SslcliError where there is nothing to draw.
    """
    from matplotlib.figure import Figure

    x_axis = "epoch" if all("epoch" in record for record in records) else "step"
    curves = _curves(records, x_axis)
    if not curves:
        raise SslcliError("the run has no metrics to draw", "train it for at least one log_every steps")
    num_columns = min(len(curves), 3 if len(curves) != 4 else 2)
    num_rows = math.ceil(len(curves) / num_columns)
    figure = Figure(figsize=(4.0 * num_columns, 2.6 * num_rows + 0.2), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    longest = max(record[x_axis] for record in records)
    phases = list(dict.fromkeys(phase for lines in curves.values() for phase in lines))
    colours = {phase: COLOURS[index % len(COLOURS)] for index, phase in enumerate(phases)}
    for index, (name, lines) in enumerate(curves.items()):
        axes = figure.add_subplot(num_rows, num_columns, index + 1)
        for phase, points in lines.items():
            _draw_curve(axes, points, colours[phase], phase)
        last = points[-1, 1]
        axes.set_xlim(0, 1.02 * longest or None)
        if name in FROM_ZERO:
            axes.set_ylim(0, 1.1 * max(float(points[:, 1].max()) for points in lines.values()) or None)
        _style(axes, TITLES.get(name, name.replace("_", " ")), f"{last:.4g}" if len(phases) == 1 else "")
        if index >= len(curves) - num_columns:
            axes.set_xlabel(x_axis, fontsize=8, color=MUTED)
        if index == 0 and len(phases) > 1:
            axes.legend(fontsize=7, frameon=False)
    figure.savefig(path)


def save_confusion(path_png: Path, path_csv: Path, matrix: NDArray[np.int64], classes: Sequence[str]) -> None:
    """The confusion matrix (K, K) of counts, rows true, columns predicted.

    The picture shows the share of every true class in percent; the CSV the counts, under a heading of the classes.
    """
    from matplotlib.figure import Figure

    assert matrix.shape == (len(classes), len(classes)), f"{matrix.shape} counts of {len(classes)} classes"
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
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    else:
        bar = figure.colorbar(heat, ax=axes, shrink=0.5, aspect=30, pad=0.02, ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0 %", "50 %", "100 %"], fontsize=7, color=MUTED)
        bar.ax.tick_params(color=PALE, length=2)
        bar.outline.set_visible(False)
    _style(axes, "confusion matrix: percent of each true class", grid=False)
    figure.savefig(path_png, bbox_inches="tight", pad_inches=0.15)


def _denormalized(views: Tensor, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.uint8]:
    """(V, N, C, H, W) normalised -> (V, N, H, W, C) uint8."""
    values = views.float().cpu().numpy().transpose(0, 1, 3, 4, 2) * np.asarray(std) + np.asarray(mean)
    pictures: NDArray[np.uint8] = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return pictures


def _resized(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N, H, W, C) -> (N, size, size, 3), every pixel being its nearest one; grey stays grey."""
    rows = np.arange(size) * pictures.shape[1] // size
    columns = np.arange(size) * pictures.shape[2] // size
    resized = pictures[:, rows][:, :, columns]
    return resized.repeat(3, axis=3) if resized.shape[3] == 1 else resized[..., :3]


def _num_rows(num_images: int, num_columns: int) -> int:
    """How many pictures stand in one block, so that the blocks side by side make a sheet of good shape."""

    def distance(num_rows: int) -> float:
        return abs(math.log(math.ceil(num_images / num_rows) * num_columns / num_rows / SHEET_SHAPE))

    evenly = {math.ceil(num_images / num_blocks) for num_blocks in range(1, num_images + 1)}
    return min(sorted(evenly), key=distance)


def _block(cells: NDArray[np.uint8], num_rows: int) -> NDArray[np.uint8]:
    """(N, V + 1, size, size, 3), at most `num_rows` pictures -> a block of `num_rows` rows on white."""
    size = cells.shape[2]
    lefts = _cell_lefts(cells.shape[1] - 1, size)
    block = np.full((num_rows * (size + GAP) - GAP, lefts[-1] + size, 3), 255, np.uint8)
    for row, pictures in enumerate(cells):
        for left, picture in zip(lefts, pictures, strict=True):
            top = row * (size + GAP)
            block[top : top + size, left : left + size] = picture
    return block


def _cell_lefts(num_views: int, size: int) -> list[int]:
    """Where the original and its views begin, in pixels from the block's left."""
    return [0] + [size + GAP_AFTER_ORIGINAL + view * (size + GAP) for view in range(num_views)]


def _headings(num_blocks: int, num_views: int, size: int) -> list[tuple[float, str]]:
    lefts = _cell_lefts(num_views, size)
    names = ["original", *(f"view {view + 1}" for view in range(num_views))]
    starts = [MARGIN + block * (lefts[-1] + size + GAP_BETWEEN_BLOCKS) for block in range(num_blocks)]
    return [(start + left + size / 2, name) for start in starts for left, name in zip(lefts, names, strict=True)]


def _curves(records: Sequence[dict[str, Any]], x_axis: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """name -> phase -> (n, 2) finite points; the loss first, then in the order of appearance."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {"loss": {}}
    for record in records:
        for name, value in record.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if number and name not in NOT_CURVES:
                found.setdefault(name, {}).setdefault(str(record.get("phase", "")), []).append((record[x_axis], value))
    return {
        name: {phase: np.array(points, dtype=np.float64) for phase, points in lines.items()}
        for name, lines in found.items()
        if lines
    }


def _draw_curve(axes: Axes, points: NDArray[np.float64], colour: str, label: str) -> None:
    x, y = points.T
    if len(points) < MANY_POINTS:
        marker = "o" if len(points) <= 30 else None
        axes.plot(x, y, color=colour, linewidth=1.5, marker=marker, markersize=3, label=drawable(label))
        return
    axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.3)
    window = np.ones(len(points) // 80 * 2 + 1)
    counts = np.convolve(np.ones(len(points)), window, mode="same")
    axes.plot(x, np.convolve(y, window, mode="same") / counts, color=colour, linewidth=1.6, label=drawable(label))


def _style(axes: Axes, title: str, value: str = "", grid: bool = True) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.set_title(value, loc="right", fontsize=9, color=MUTED)
    axes.tick_params(labelsize=7, labelcolor=MUTED, color=PALE, length=2)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(grid and side in ("bottom", "left"))
        axes.spines[side].set_color(PALE)
    if grid:
        axes.grid(color=PALE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.ticklabel_format(scilimits=(-3, 5), useOffset=False)
        axes.yaxis.get_offset_text().set(fontsize=7, color=MUTED)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    axes.set_xlabel("predicted", fontsize=8, color=MUTED)
    axes.set_ylabel("true", fontsize=8, color=MUTED)
    if len(classes) > MAX_NAMED:
        return
    names = [drawable(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)


def drawable(name: str, longest: int = 24) -> str:
    """A name as matplotlib's default font can draw it on one line: "?" for other characters, "…" for a long end."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    known = "".join(c if c.isprintable() and font.get_char_index(ord(c)) else "?" for c in name)
    short = known if len(known) <= longest else known[: longest - 1] + "…"
    return short.replace("$", r"\$")  # a pair of them would begin a formula
