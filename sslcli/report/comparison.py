"""Pretrainings compared by the error after fine-tuning, over the depth of the network and over seeds.

A result is (pretraining, depth, seed, error in percent). Pretrainings stand in the order in which they appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.report.style import COLOURS, DPI, INK, MUTED, drawable, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Result = tuple[str, int, int, float]
Errors = dict[str, dict[int, NDArray[np.float64]]]
"""pretraining -> depth, ascending -> the errors (seeds,)."""

MARKERS = "osD^vPX"
"""One more than colours: the pairs repeat late."""
BESIDE = 0.06
"""How far lines stand beside each other so that no error bar hides another, in steps between depths."""


def save_depth_comparison(
    path: Path, results: Sequence[Result], ylabel: str = "test error [%]"
) -> None:
    """The mean error over depth, a line for every pretraining; a point for each where there is one depth only.

    Error bars are the standard deviation over seeds, dots the single seeds.
    Source: the presentation of Vincent et al. 2010 (figure 10) and Erhan et al. 2010.
    """
    from matplotlib.figure import Figure

    errors = _by_depth(results)
    depths = _depths(errors)
    assert depths, "nothing to compare"
    width = max(5.0, 1.5 + 0.8 * max(len(depths), len(errors) if len(depths) == 1 else 0))
    figure = Figure(figsize=(width, 3.2), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    axes = figure.add_subplot()
    beside = (
        BESIDE
        if any(len(values) > 1 for by_depth in errors.values() for values in by_depth.values())
        else 0.0
    )
    for index, (name, by_depth) in enumerate(errors.items()):
        aside = beside * min(np.diff(depths), default=0) * (index - (len(errors) - 1) / 2)
        places = np.array([float(index)]) if len(depths) == 1 else np.array(list(by_depth)) + aside
        _draw(axes, places, list(by_depth.values()), index, drawable(name))
    style_axes(axes, _what_is_drawn(errors))
    axes.set_ylabel(ylabel, fontsize=8, color=MUTED)
    if len(depths) == 1:
        _name_points(axes, list(errors), depths[0])
    else:
        axes.set_xticks(depths, [str(depth) for depth in depths])
        axes.set_xlabel("depth", fontsize=8, color=MUTED)
        legend = figure.legend(
            loc="outside right upper",
            fontsize=7,
            frameon=False,
            labelcolor=INK,
            title="pretraining",
        )
        legend.get_title().set(fontsize=8, color=MUTED)
    figure.savefig(path)


def comparison_columns(results: Sequence[Result]) -> tuple[str, ...]:
    """The headings over `comparison_rows`."""
    return "pretraining", *(f"depth {depth}" for depth in _depths(_by_depth(results)))


def comparison_rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A pretraining's name, then for every depth "mean ± standard deviation" in percent, "mean" of one seed, "–" of none."""
    errors = _by_depth(results)
    depths = _depths(errors)
    return [
        (name, *(_words(by_depth[depth]) if depth in by_depth else "–" for depth in depths))
        for name, by_depth in errors.items()
    ]


def _by_depth(results: Sequence[Result]) -> Errors:
    found: dict[str, dict[int, list[float]]] = {}
    for name, depth, _, error in results:
        found.setdefault(name, {}).setdefault(depth, []).append(error)
    return {
        name: {depth: np.array(by_depth[depth], dtype=np.float64) for depth in sorted(by_depth)}
        for name, by_depth in found.items()
    }


def _depths(errors: Errors) -> list[int]:
    return sorted({depth for by_depth in errors.values() for depth in by_depth})


def _deviation(errors: NDArray[np.float64]) -> float:
    """Over the seeds, with Bessel's correction; 0 for one seed."""
    return float(errors.std(ddof=1)) if len(errors) > 1 else 0.0


def _words(errors: NDArray[np.float64]) -> str:
    return f"{errors.mean():.2f}" + (f" ± {_deviation(errors):.2f}" if len(errors) > 1 else "")


def _what_is_drawn(errors: Errors) -> str:
    counts = {len(values) for by_depth in errors.values() for values in by_depth.values()}
    if counts == {1}:
        return "one seed"
    seeds = f"{max(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    return f"mean ± standard deviation over {seeds} seeds"


def _name_points(axes: Axes, names: Sequence[str], depth: int) -> None:
    rotation, ha = (20, "right") if len(names) > 4 else (0, "center")
    labels = [drawable(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=rotation, ha=ha, rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xlabel(f"pretraining, depth {depth}", fontsize=8, color=MUTED)


def _draw(
    axes: Axes,
    places: NDArray[np.float64],
    errors: Sequence[NDArray[np.float64]],
    index: int,
    name: str,
) -> None:
    """The mean's marker is hollow over several seeds, so that their dots are seen in it."""
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    means = [values.mean() for values in errors]
    faces = "white" if any(len(values) > 1 for values in errors) else colour
    axes.plot(
        places,
        means,
        color=colour,
        linewidth=1.3,
        marker=marker,
        markersize=5.5,
        markerfacecolor=faces,
        label=name,
    )
    for place, mean, values in zip(places, means, errors, strict=True):
        if len(values) > 1:
            bar = _deviation(values)
            axes.errorbar(
                place, mean, bar, color=colour, linewidth=0, elinewidth=1, capsize=3, zorder=1.9
            )
            axes.plot(
                np.full(len(values), place),
                values,
                ".",
                color=colour,
                markersize=3,
                alpha=0.7,
                zorder=3,
            )
