"""Charts to zoom and to hover over, as plotly's plain values: what a page's script hands to plotly. Imports no plotly.

Names are text: plotly reads a little markup in what it writes, so they are escaped here. Colours of paper, ink and grid are the
page's, light or dark. A chart is {"data": traces, "layout": …}, its height in pixels in its layout.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.report.figures import MANY_POINTS, NOT_CURVES, TITLES
from sslcli.report.style import COLOURS

Chart = dict[str, Any]

LINE_POINTS, PANEL_POINTS = 1_500, 6_000
"""Points of a line, and of all lines of a panel, about: more than a screen shows."""
MAX_TICKS = 10
"""Values of a setting up to which each has its tick."""
PANEL, GAP, AROUND = 150, 42, 90
"""Heights in pixels: of a panel, between two, above and below all."""
MAX_NAMED, NAME = 8, 20
"""Lines up to which a chart has a legend, of so many pixels a name; beyond, hovering names the nearest."""

DIAGNOSTICS = (
    "feature_std",
    "effective_rank",
    "dead_dimensions",
    "uniformity",
    "alignment",
    "separation",
    "lidar",
)


@dataclass(frozen=True)
class Line:
    """A curve: `x`, `y` (n,). Lines of one `colour` belong together."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: int = 0


Panels = dict[str, list[Line]]
"""Lines by the metric that they show."""


def families(
    records: Sequence[dict[str, Any]], name: str = "", colour: int | None = None
) -> dict[str, Panels]:
    """The curves in the records of metrics.jsonl by family, over epochs; a line for every phase, called `name` where there is
    one phase only. `colour`: of all of them, by default one for every phase."""
    found: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {
        "training": {},
        "validation": {},
    }
    for record in records:
        if not record.get("epoch"):  # measured once, in no epoch: no curve
            continue
        for metric, value in record.items():
            if _is_number(value) and metric not in NOT_CURVES:
                lines = found.setdefault(_family(metric, "loss" in record), {}).setdefault(
                    metric, {}
                )
                lines.setdefault(str(record.get("phase", "")), []).append((record["epoch"], value))
    phases = list(
        dict.fromkeys(
            phase for panels in found.values() for lines in panels.values() for phase in lines
        )
    )

    def line(phase: str, points: list[tuple[float, float]]) -> Line:
        x, y = np.array(points, dtype=np.float64).T
        called = phase if len(phases) > 1 else ""
        return Line(
            " ".join(filter(None, (name, called))),
            x,
            y,
            phases.index(phase) if colour is None else colour,
        )

    return {
        family: {
            metric: [line(*item) for item in lines.items()] for metric, lines in panels.items()
        }
        for family, panels in found.items()
        if panels
    }


def curves(panels: Mapping[str, Sequence[Line]], x_title: str = "epoch") -> Chart:
    """A panel for every metric, one below the other over one x axis."""
    names = list(dict.fromkeys(line.name for lines in panels.values() for line in lines))
    named = names if 1 < len(names) <= MAX_NAMED else []
    layout = _stacked(
        [TITLES.get(metric, metric.replace("_", " ")) for metric in panels], below=NAME * len(named)
    )
    layout["xaxis"] = {
        "title": {"text": html.escape(x_title, quote=False)},
        "anchor": _id("y", len(panels)),
    }
    layout["hovermode"] = "x unified" if len(names) <= MAX_NAMED else "closest"
    layout["showlegend"] = bool(named)
    data: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, lines in enumerate(panels.values(), start=1):
        most = max(40, min(LINE_POINTS, PANEL_POINTS // len(lines)))
        for line in lines:
            data += _traces(line, _id("y", number), most, named=line.name not in seen)
            seen.add(line.name)
    return {"data": data, "layout": layout}


def settings_against(
    metric: str,
    settings: Mapping[str, Sequence[Any]],
    values: Sequence[float],
    names: Sequence[str],
) -> Chart:
    """The metric over every setting, a panel each with an x axis of its own; a point a run, which hovering names."""
    layout = _stacked([""] * len(settings), gap=70)
    layout.update(showlegend=False, hovermode="closest")
    data = []
    for number, (setting, seen) in enumerate(settings.items(), start=1):
        numbers = all(_is_number(value) for value in seen)
        logarithmic = numbers and min(seen) > 0 and max(seen) / min(seen) >= 20
        kind = "log" if logarithmic else "linear" if numbers else "category"
        ticks = {"tickvals": sorted(set(seen))} if numbers and len(set(seen)) <= MAX_TICKS else {}
        title = {"text": html.escape(setting, quote=False)}
        layout[_id("xaxis", number)] = {
            "type": kind,
            "title": title,
            "anchor": _id("y", number),
            **ticks,
        }
        layout[_id("yaxis", number)]["title"] = {
            "text": html.escape(metric.replace("_", " "), quote=False)
        }
        x = list(seen) if numbers else [_word(value) for value in seen]
        shown = [html.escape(name, quote=False) for name in names]
        marker = {"size": 9, "opacity": 0.75, "color": COLOURS[0]}
        axes = {"xaxis": _id("x", number), "yaxis": _id("y", number)}
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": x,
                "y": list(values),
                "text": shown,
                "marker": marker,
            }
            | {"hovertemplate": "%{text}<br>%{x}: %{y}<extra></extra>", **axes}
        )
    return {"data": data, "layout": layout}


def confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Chart:
    """The confusion matrix (K, K) of counts, rows true, columns predicted, coloured by the share of every true class."""
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [f"{index} {html.escape(name, quote=False)}" for index, name in enumerate(classes)]
    heat = {
        "type": "heatmap",
        "z": np.round(shares, 2).tolist(),
        "customdata": matrix.tolist(),
        "x": names,
        "y": names,
        "colorscale": [[0, "rgba(37,99,235,0)"], [1, COLOURS[0]]],
        "zmin": 0,
        "zmax": 100,
        "colorbar": {"ticksuffix": " %", "thickness": 12},
        "hovertemplate": "true %{y}<br>predicted %{x}<br>%{customdata} pictures, %{z} %<extra></extra>",
    }
    if len(classes) <= 12:
        heat["texttemplate"] = "%{z:.0f}"
    axis = {"type": "category", "showgrid": False, "automargin": True}
    layout = {
        "height": min(max(26 * len(classes) + 160, 320), 720),
        "xaxis": {**axis, "title": {"text": "predicted"}},
        "yaxis": {**axis, "title": {"text": "true", "standoff": 10}, "autorange": "reversed"},
        "margin": {"l": 20, "r": 10, "t": 10, "b": 20},
    }
    return {"data": [heat], "layout": layout}


def thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most so many of the points (n,), about: the lowest and the highest of every stretch, and both ends."""
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most // 2, dtype=np.int64)
    kept = {0, len(x) - 1}
    for begin, end in itertools.pairwise(edges):
        kept |= {int(begin + y[begin:end].argmin()), int(begin + y[begin:end].argmax())}
    chosen = sorted(kept)
    return x[chosen], y[chosen]


def headline(metric: str) -> bool:
    """Whether a number says how good a run is, rather than how it went."""
    return _family(metric, True) == "training" and metric not in NOT_CURVES


def _family(metric: str, while_training: bool) -> str:
    if metric.startswith("learning_rate"):
        return "learning rate"
    if metric in DIAGNOSTICS:
        return "diagnostics"
    return "training" if while_training else "validation"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _word(value: object) -> str:
    return "null" if value is None else html.escape(str(value), quote=False)


def _stacked(titles: Sequence[str], gap: int = GAP, below: int = 0) -> dict[str, Any]:
    """The layout of panels one below the other, y axes 1, 2, …, each with its title above it; `below`: pixels of a legend."""
    num = len(titles)
    inner = num * PANEL + (num - 1) * gap
    layout: dict[str, Any] = {
        "height": inner + AROUND + below,
        "margin": {"l": 60, "r": 12, "t": 30, "b": AROUND - 30 + below},
        "legend": {"x": 0, "y": -50 / inner, "yanchor": "top", "tracegroupgap": 0},
        "annotations": [],
    }
    for number, title in enumerate(titles, start=1):
        top = 1 - (number - 1) * (PANEL + gap) / inner
        layout[_id("yaxis", number)] = {
            "domain": [max(0.0, top - PANEL / inner), top],
            "automargin": True,
        }
        place = {
            "xref": "paper",
            "x": 0,
            "xanchor": "left",
            "yref": "paper",
            "y": top,
            "yanchor": "bottom",
        }
        layout["annotations"].append(
            {"text": f"<b>{html.escape(title, quote=False)}</b>", "showarrow": False, **place}
        )
    return layout


def _id(axis: str, number: int) -> str:
    """plotly's names: y, y2, y3, …"""
    return axis if number == 1 else f"{axis}{number}"


def _traces(line: Line, axis: str, most: int, named: bool) -> list[dict[str, Any]]:
    """The curve; a long one pale, and its running mean over it. Hovering tells the values themselves."""
    colour = COLOURS[line.colour % len(COLOURS)]
    name = html.escape(line.name, quote=False)
    shared = {"type": "scatter", "name": name, "legendgroup": name, "xaxis": "x", "yaxis": axis}
    pen = {"color": colour, "width": 2}

    def points(y: NDArray[np.float64]) -> dict[str, list[float]]:
        few = thinned(line.x, y, most)
        return {
            key: [float(f"{value:.5g}") for value in axis]
            for key, axis in zip("xy", few, strict=True)
        }

    if len(line.x) < MANY_POINTS:
        mode = "lines+markers" if len(line.x) <= 30 else "lines"
        return [
            {
                **shared,
                **points(line.y),
                "mode": mode,
                "line": pen,
                "marker": {"size": 5},
                "showlegend": named,
            }
        ]
    window = np.ones(len(line.x) // 80 * 2 + 1)
    counts = np.convolve(np.ones(len(line.x)), window, mode="same")
    mean = np.convolve(line.y, window, mode="same") / counts
    pale = {"mode": "lines", "line": {**pen, "width": 1}, "opacity": 0.35, "showlegend": False}
    over = {"mode": "lines", "line": pen, "hoverinfo": "skip", "showlegend": named}
    return [{**shared, **points(line.y), **pale}, {**shared, **points(mean), **over}]
