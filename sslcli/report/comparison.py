"""Compares pretrainings by the error after fine-tuning, over depth and over seeds.

A result is (pretraining, depth, seed, error in percent). Pretrainings stand in the order in which
they appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.report.style import (
    COLOURS,
    INK,
    MUTED,
    drawable,
    label_axes,
    new_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Result = tuple[str, int, int, float]
Errors = dict[str, dict[int, NDArray[np.float64]]]
"""pretraining -> depth, ascending -> the errors (seeds,)."""

MARKERS = "osD^vPX"
"""One more than colours, so that pairs of the two repeat late."""
OFFSET = 0.06
"""Between the points of two lines, so that no error bar hides another, in steps between depths."""


def save_depth_comparison(
    path: Path, results: Sequence[Result], ylabel: str = "test error [%]"
) -> None:
    """Draws the mean error over depth, a line for every pretraining.

    For one depth only there is a point each. Error bars are the standard deviation over seeds,
    dots the single seeds.
    Source: the presentation of Vincent et al. 2010 (figure 10) and Erhan et al. 2010.
    """
    errors = _by_depth(results)
    depths = _depths(errors)
    assert depths, "nothing to compare"
    width = max(5.0, 1.5 + 0.8 * max(len(depths), len(errors) if len(depths) == 1 else 0))
    figure = new_figure(width, 3.2)
    axes = figure.add_subplot()
    has_bars = max(_num_seeds(errors)) > 1
    step = OFFSET * min(np.diff(depths), default=0) if has_bars else 0.0
    for index, (name, by_depth) in enumerate(errors.items()):
        offset = step * (index - (len(errors) - 1) / 2)
        x = np.array([float(index)]) if len(depths) == 1 else np.array(list(by_depth)) + offset
        _draw(axes, x, list(by_depth.values()), index, drawable(name))
    style_axes(axes, _title(errors))
    if len(depths) == 1:
        label_axes(axes, f"pretraining, depth {depths[0]}", ylabel)
        _name_points(axes, list(errors))
    else:
        label_axes(axes, "depth", ylabel)
        axes.set_xticks(depths, [str(depth) for depth in depths])
        legend = figure.legend(
            loc="outside right upper",
            fontsize=7,
            frameon=False,
            labelcolor=INK,
            title="pretraining",
        )
        legend.get_title().set(fontsize=8, color=MUTED)
    save_figure(figure, path)


def comparison_columns(results: Sequence[Result]) -> tuple[str, ...]:
    """Returns the headings over `comparison_rows`."""
    return "pretraining", *(f"depth {depth}" for depth in _depths(_by_depth(results)))


def comparison_rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Returns each pretraining's name, and its errors in percent at every depth.

    "mean ± standard deviation"; "mean" of one seed, "–" of none.
    """
    errors = _by_depth(results)
    depths = _depths(errors)
    return [
        (name, *(_as_words(by_depth[depth]) if depth in by_depth else "–" for depth in depths))
        for name, by_depth in errors.items()
    ]


def _by_depth(results: Sequence[Result]) -> Errors:
    collected: dict[str, dict[int, list[float]]] = {}
    for name, depth, _, error in results:
        collected.setdefault(name, {}).setdefault(depth, []).append(error)
    return {
        name: {depth: np.array(by_depth[depth], dtype=np.float64) for depth in sorted(by_depth)}
        for name, by_depth in collected.items()
    }


def _depths(errors: Errors) -> list[int]:
    return sorted({depth for by_depth in errors.values() for depth in by_depth})


def _deviation(errors: NDArray[np.float64]) -> float:
    """Returns the standard deviation over seeds, Bessel-corrected; 0 for one seed."""
    return float(errors.std(ddof=1)) if len(errors) > 1 else 0.0


def _as_words(errors: NDArray[np.float64]) -> str:
    return f"{errors.mean():.2f}" + (f" ± {_deviation(errors):.2f}" if len(errors) > 1 else "")


def _num_seeds(errors: Errors) -> set[int]:
    return {len(values) for by_depth in errors.values() for values in by_depth.values()}


def _title(errors: Errors) -> str:
    counts = _num_seeds(errors)
    if counts == {1}:
        return "one seed"
    seeds = f"{max(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    return f"mean ± standard deviation over {seeds} seeds"


def _name_points(axes: Axes, names: Sequence[str]) -> None:
    rotation, ha = (20, "right") if len(names) > 4 else (0, "center")
    labels = [drawable(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=rotation, ha=ha, rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)


def _draw(
    axes: Axes,
    x: NDArray[np.float64],
    errors: Sequence[NDArray[np.float64]],
    index: int,
    name: str,
) -> None:
    """Draws one pretraining.

    Over several seeds the mean's marker is hollow, to show their dots.
    """
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    means = [values.mean() for values in errors]
    faces = "white" if any(len(values) > 1 for values in errors) else colour
    axes.plot(
        x,
        means,
        color=colour,
        linewidth=1.3,
        marker=marker,
        markersize=5.5,
        markerfacecolor=faces,
        label=name,
    )
    for x_one, mean, values in zip(x, means, errors, strict=True):
        if len(values) > 1:
            bar = _deviation(values)
            axes.errorbar(
                x_one, mean, bar, color=colour, linewidth=0, elinewidth=1, capsize=3, zorder=1.9
            )
            axes.plot(
                np.full(len(values), x_one),
                values,
                ".",
                color=colour,
                markersize=3,
                alpha=0.7,
                zorder=3,
            )
