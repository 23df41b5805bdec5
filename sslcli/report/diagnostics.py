"""Draws features' spectrum, the spread of every dimension, RankMe in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sslcli.report.style import (
    COLOURS,
    PALE,
    label_axes,
    marker,
    new_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST = 1e-8
"""Of the largest value. What is smaller is rounding, and drawn as this."""


def save_diagnostics(
    path: Path,
    spectrum: Sequence[float],
    dimension_std: Sequence[float],
    history: Sequence[tuple[float, float]],
) -> None:
    """Draws a figure of two panels, or three where there is a history.

    `spectrum` (K,) descending; `dimension_std` (D,) in any order; `history`: (epoch, RankMe).
    """
    num_panels = 3 if history else 2
    figure = new_figure(4.0 * num_panels, 2.9)
    first, second, *rest = figure.subplots(1, num_panels)
    _draw_spectrum(first, np.asarray(spectrum))
    _draw_std(second, np.sort(np.asarray(dimension_std))[::-1])
    if history:
        _draw_history(rest[0], history)
    save_figure(figure, path)


def _draw_spectrum(axes: Axes, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    style_axes(axes, "spectrum: std along principal directions")
    label_axes(axes, "direction")
    largest = float(values.max(initial=0))
    if largest > 0:
        axes.set_yscale("log")
        axes.tick_params(which="minor", color=PALE, length=1)
        values = np.maximum(values, SMALLEST * largest)
    axes.plot(
        np.arange(1, len(values) + 1),
        values,
        color=COLOURS[0],
        linewidth=1.5,
        marker=marker(len(values)),
        markersize=3,
    )


def _draw_std(axes: Axes, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    style_axes(axes, "std of every dimension, sorted")
    label_axes(axes, "dimension")
    numbers = np.arange(1, len(values) + 1)
    axes.fill_between(numbers, values, color=COLOURS[1], alpha=0.2, linewidth=0)
    axes.plot(
        numbers, values, color=COLOURS[1], linewidth=1.5, marker=marker(len(values)), markersize=3
    )
    axes.set_ylim(0, 1.1 * float(values.max(initial=0)) or None)


def _draw_history(axes: Axes, history: Sequence[tuple[float, float]]) -> None:
    epochs, ranks = np.array(history).T
    style_axes(axes, "RankMe during training", f"{ranks[-1]:.4g}")
    label_axes(axes, "epoch")
    axes.plot(
        epochs, ranks, color=COLOURS[2], linewidth=1.5, marker=marker(len(ranks)), markersize=3
    )
    axes.set_ylim(0, 1.1 * float(ranks.max()) or None)
    axes.set_xlim(0, 1.02 * float(epochs.max()) or None)
