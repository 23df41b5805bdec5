"""Draws RankMe, LiDAR and kNN over epochs, and what each would choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sslcli.report.curves import Curve, Records, curves_of, y_limits
from sslcli.report.style import (
    COLOURS,
    MUTED,
    label_axes,
    marker,
    new_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "effective_rank": "RankMe",
    "lidar": "LiDAR",
    "knn_accuracy": "kNN accuracy",
}
"""The measures that choose an epoch, larger being better. The first two need no labels."""
MIN_EPOCHS = 3
"""Measured epochs from which on there is something to choose."""


class Choice(NamedTuple):
    """Holds a measure's curve over epochs, and the epoch that it would choose."""

    metric: str
    curve: Curve

    @property
    def title(self) -> str:
        return TITLES[self.metric]

    @property
    def epoch(self) -> float:
        return float(self.curve.x[self.curve.y.argmax()])

    @property
    def best(self) -> float:
        return float(self.curve.y.max())

    @property
    def last(self) -> float:
        return float(self.curve.y[-1])


def choices_of(records: Records) -> list[Choice]:
    """Returns each measure's choice; none where few epochs were measured.

    A measure that was taken in several phases, as of a stack, is left out.
    """
    curves = curves_of(records)
    found = [
        Choice(metric, next(iter(curves[metric].values())))
        for metric in TITLES
        if len(curves.get(metric, ())) == 1
    ]
    enough = any(len(choice.curve.x) >= MIN_EPOCHS for choice in found)
    return found if enough else []


def save_snapshots(path: Path, records: Records, kept: Sequence[int]) -> None:
    """Draws a panel for every measure; no file where there is nothing to choose.

    A line marks the epoch that the measure would choose, triangles the epochs of `kept` encoders.
    """
    choices = choices_of(records)
    if not choices:
        return
    figure = new_figure(max(4.0 * len(choices), 6.0), 2.9)
    panels = figure.subplots(1, len(choices), squeeze=False)[0]
    longest = max(float(choice.curve.x.max()) for choice in choices)
    for axes, choice, colour in zip(panels, choices, COLOURS, strict=False):
        _draw(axes, choice, colour)
        at_the_foot = axes.get_xaxis_transform()
        axes.plot(kept, [0.02] * len(kept), "^", color=MUTED, markersize=4, transform=at_the_foot)
        label_axes(axes, "epoch (triangles: kept encoders)" if kept else "epoch")
        axes.set_xlim(0, 1.02 * longest)
    save_figure(figure, path)


def _draw(axes: Axes, choice: Choice, colour: str) -> None:
    x, y = choice.curve
    style_axes(axes, choice.title, f"best after epoch {choice.epoch:g}: {choice.best:.4g}")
    axes.plot(x, y, color=colour, linewidth=1.5, marker=marker(len(x)), markersize=3)
    axes.axvline(choice.epoch, color=colour, linestyle="--", linewidth=1.0)
    limits = y_limits(choice.metric, [y])
    if limits is not None:
        axes.set_ylim(limits)
