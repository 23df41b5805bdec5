"""Draws how many edited pictures become the class asked for, against what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sslcli.report.style import (
    COLOURS,
    INK,
    drawable,
    label_axes,
    new_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^vPX"


class Fate(NamedTuple):
    """Holds what edited pictures are taken for at a strength, and how similar they are."""

    strength: float
    target: float
    own: float
    other: float
    ssim: float


def save_edit_curves(
    path: Path, ways: Mapping[str, Sequence[Fate]], title: str, default: float = 1.0
) -> None:
    """Draws each way's curve over its strengths, and for the first way what becomes of pictures.

    Points of the strength `default` have a ring.
    """
    figure = new_figure(9.6, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    style_axes(left, drawable(title, 60))
    for index, (name, fates) in enumerate(ways.items()):
        fates = sorted(fates)
        line = [fate.ssim for fate in fates], [100 * fate.target for fate in fates]
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        left.plot(
            *line, color=colour, marker=marker, markersize=4, linewidth=1.5,
            label=drawable(name, 40),
        )  # fmt: skip
        for fate in fates:
            if fate.strength == default:
                left.plot(
                    fate.ssim, 100 * fate.target, "o", markersize=10, color=INK, fillstyle="none"
                )
    label_axes(left, "SSIM to the original: right is less changed", "become the target class [%]")
    left.set_ylim(0, 100)
    left.legend(fontsize=8, frameon=False, loc="lower left", title=f"ring: strength {default:g}",
                title_fontsize=8, alignment="left")  # fmt: skip
    name, fates = next(iter(ways.items()))
    _draw_fates(right, drawable(name, 40), sorted(fates))
    save_figure(figure, path)


def _draw_fates(axes: Axes, name: str, fates: Sequence[Fate]) -> None:
    style_axes(axes, f"seen in the pictures: {name}")
    strengths = [fate.strength for fate in fates]
    layers = [[100 * getattr(fate, part) for fate in fates] for part in ("target", "other", "own")]
    words = ("the target class", "another class", "their own class")
    colours = (COLOURS[0], COLOURS[1], COLOURS[2])
    axes.stackplot(strengths, *layers, colors=colours, alpha=0.35, labels=words)
    axes.set_ylim(0, 100)
    axes.set_xlim(strengths[0], strengths[-1])
    label_axes(axes, "strength", "pictures [%]")
    axes.legend(fontsize=8, frameon=False, loc="center left")
