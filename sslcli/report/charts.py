"""Builds a page's charts, to zoom and to hover over, as plotly figures.

plotly reads a little markup in the names that it writes, so names are escaped here. A figure has
no colours of paper, ink and grid: the page gives it its own, light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sslcli.report.curves import MANY_POINTS, is_number, running_mean, title_of, y_limits
from sslcli.report.families import Line, most_points, thinned_points
from sslcli.report.style import COLOURS, FEW_POINTS

MAX_TICKS = 10
"""Number of values of a setting up to which each has its tick."""
PANEL, GAP, GAP_WITH_AXIS, ABOVE, BELOW = 150, 42, 70, 30, 60
"""Heights in pixels: of a panel, between two (with an x axis or without), around all."""
MAX_NAMED, NAME = 8, 20
"""Number of lines up to which a chart has a legend, and its pixels a name; hovering names any line.
"""
MAX_PRINTED = 12
"""Number of classes up to which a confusion matrix shows its values."""


def draw_curves(
    panels: Mapping[str, Sequence[Line]], normal_loss: Mapping[str, float | None] | None = None
) -> go.Figure:
    """Draws a panel for every metric, one below the other, over epochs.

    `normal_loss`: values of the loss by name, drawn as dashed lines beside it.
    """
    names = list(dict.fromkeys(line.name for lines in panels.values() for line in lines))
    named = names if 1 < len(names) <= MAX_NAMED else []
    titles = [f"<b>{_escaped(title_of(metric))}</b>" for metric in panels]
    figure = _stack(len(panels), GAP, legend=NAME * len(named), titles=titles)
    seen: set[str] = set()
    for row, (metric, lines) in enumerate(panels.items(), start=1):
        most = most_points(len(lines))
        for line in lines:
            traces = _traces(line, most, in_legend=line.name not in seen)
            figure.add_traces(traces, rows=row, cols=1)
            seen.add(line.name)
        for name, level in (normal_loss or {}).items() if metric == "loss" else ():
            if level is not None:
                figure.add_hline(
                    level, row=row, col=1, line_dash="dash", line_width=1, annotation_text=name
                )
        figure.update_yaxes(range=y_limits(metric, [line.y for line in lines]), row=row, col=1)
    longest = max(float(line.x.max()) for lines in panels.values() for line in lines)
    figure.update_xaxes(range=(0, 1.02 * longest))
    figure.update_xaxes(title_text="epoch", row=len(panels), col=1)
    hovermode = "x unified" if len(names) <= MAX_NAMED else "closest"
    figure.update_layout(showlegend=bool(named), hovermode=hovermode)
    return figure


def draw_settings(
    metric: str,
    settings: Mapping[str, Sequence[Any]],
    values: Sequence[float],
    names: Sequence[str],
) -> go.Figure:
    """Draws the metric over every setting, a panel each; hovering names the run."""
    figure = _stack(len(settings), GAP_WITH_AXIS)
    for row, (setting, chosen) in enumerate(settings.items(), start=1):
        numbers = [value for value in chosen if is_number(value)]
        numeric = len(numbers) == len(chosen)
        kind = _axis_type(numbers) if numeric else "category"
        points = go.Scatter(
            mode="markers",
            x=list(chosen) if numeric else [_setting(value) for value in chosen],
            y=list(values),
            text=[_escaped(name) for name in names],
            marker={"size": 9, "opacity": 0.75, "color": COLOURS[0]},
            hovertemplate="%{text}<br>%{x}: %{y}<extra></extra>",
        )
        figure.add_trace(points, row=row, col=1)
        figure.update_xaxes(type=kind, title_text=_escaped(setting), row=row, col=1)
        if numeric and len(set(numbers)) <= MAX_TICKS:
            figure.update_xaxes(tickvals=sorted(set(numbers)), row=row, col=1)
    figure.update_yaxes(title_text=_escaped(title_of(metric)))
    figure.update_layout(showlegend=False, hovermode="closest")
    return figure


def draw_confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> go.Figure:
    """Draws counts (K, K), rows true, columns predicted.

    A cell is coloured by its share of the true class.
    """
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [f"{index} {_escaped(name)}" for index, name in enumerate(classes)]
    heat = go.Heatmap(
        z=np.round(shares, 2).tolist(),
        customdata=matrix.tolist(),
        x=names,
        y=names,
        colorscale=[[0, "rgba(37,99,235,0)"], [1, COLOURS[0]]],
        zmin=0,
        zmax=100,
        colorbar={"ticksuffix": " %", "thickness": 12},
        texttemplate="%{z:.0f}" if len(classes) <= MAX_PRINTED else None,
        hovertemplate="true %{y}<br>predicted %{x}<br>%{customdata} pictures, %{z} %"
        "<extra></extra>",
    )
    figure = go.Figure(heat)
    figure.update_xaxes(type="category", showgrid=False, automargin=True, title_text="predicted")
    figure.update_yaxes(type="category", showgrid=False, automargin=True, autorange="reversed")
    figure.update_yaxes(title={"text": "true", "standoff": 10})
    figure.update_layout(
        template=None,
        height=min(max(26 * len(classes) + 160, 320), 720),
        margin={"l": 20, "r": 10, "t": 10, "b": 20},
    )
    return figure


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _setting(value: object) -> str:
    return "null" if value is None else _escaped(str(value))


def _axis_type(values: Sequence[float]) -> str:
    wide = min(values) > 0 and max(values) / min(values) >= 20
    return "log" if wide else "linear"


def _stack(num: int, gap: int, legend: int = 0, titles: Sequence[str] | None = None) -> go.Figure:
    """Returns a figure of empty panels, one below the other.

    `gap` between panels and `legend` are in pixels. Panels with titles share an x axis; those
    without have one each.
    """
    inner = num * PANEL + (num - 1) * gap
    figure = make_subplots(
        rows=num, shared_xaxes=bool(titles), vertical_spacing=gap / inner, subplot_titles=titles
    )
    figure.update_annotations(x=0, xanchor="left", font_size=12)
    figure.update_xaxes(title_standoff=8)
    figure.update_yaxes(automargin=True)
    figure.update_layout(
        template=None,
        height=ABOVE + inner + BELOW + legend,
        margin={"l": 60, "r": 12, "t": ABOVE, "b": BELOW + legend},
        legend={"x": 0, "y": -50 / inner, "yanchor": "top", "tracegroupgap": 0},
    )
    return figure


def _traces(line: Line, most: int, in_legend: bool) -> list[go.Scatter]:
    """Draws a curve; a long one pale, with its running mean over it.

    Hovering shows the values themselves.
    """
    name = _escaped(line.name)
    curve = go.Scatter(
        **thinned_points(line.x, line.y, most),
        name=name,
        legendgroup=name,
        showlegend=in_legend,
        mode="lines+markers" if len(line.x) <= FEW_POINTS else "lines",
        line={"color": COLOURS[line.colour % len(COLOURS)], "width": 2},
        marker={"size": 5},
    )
    if len(line.x) < MANY_POINTS:
        return [curve]
    mean = go.Scatter(curve).update(
        **thinned_points(line.x, running_mean(line.y), most), hoverinfo="skip"
    )
    return [curve.update(line_width=1, opacity=0.35, showlegend=False), mean]
