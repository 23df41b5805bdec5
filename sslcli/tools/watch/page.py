"""Writes what is shown of a run as a page, and as the values by which the page follows it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sslcli.report.curves import MANY_POINTS, title_of, y_limits
from sslcli.report.families import Line, smooth, thinned_points
from sslcli.report.frame import render_page
from sslcli.report.run_words import caption_of
from sslcli.report.style import COLOURS
from sslcli.tools.watch.sight import Sight

ORIGIN = "sslcli-watch"
MOST_POINTS = 600
"""Points of a line: a panel is about as many pixels wide."""
LOOK_EVERY = 2.0
"""Seconds between two looks of a page."""


def page(sight: Sight) -> bytes:
    """Returns the page, which shows the run as it is now before it asks for more."""
    values = {
        "origin": ORIGIN,
        "about": str(sight.folder),
        "title": sight.title,
        "values": values_of(sight),
        "version": version_of(as_json(sight)),
        "every": round(1000 * LOOK_EVERY),
    }
    return render_page("watch.html.jinja", values)


def as_json(sight: Sight) -> bytes:
    """Returns `values_of` as strict JSON."""
    return json.dumps(values_of(sight), allow_nan=False, separators=(",", ":")).encode()


def version_of(content: bytes) -> str:
    """Returns what differs where the values do: a page asks for what it does not show yet."""
    return hashlib.sha256(content).hexdigest()[:16]


def values_of(sight: Sight) -> dict[str, Any]:
    """Returns what the page's script draws, as plain values."""
    progress = sight.progress
    return {
        "title": sight.title,
        "folder": str(sight.folder.absolute()),
        "status": sight.status,
        "ended": sight.has_ended,
        "alarms": sight.alarms,
        "warnings": sight.warnings,
        "numbers": sight.numbers,
        "progress": None if progress is None else progress.words,
        "share": None if progress is None else progress.share,
        "charts": [
            _panel(sight, family, metric, lines)
            for family, panels in sight.families.items()
            for metric, lines in panels.items()
        ],
        "pictures": _pictures(sight),
    }


def _panel(sight: Sight, family: str, metric: str, lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "key": f"{family}: {metric}",
        "family": family,
        "title": title_of(metric),
        "limits": y_limits(metric, [line.y for line in lines]),
        "levels": _levels(sight) if metric == "loss" else [],
        "lines": [_line(line, MOST_POINTS) for line in lines],
    }


def _levels(sight: Sight) -> list[tuple[str, float]]:
    """Returns names with their value; those of one value share their line."""
    names: dict[float, list[str]] = {}
    for name, level in sight.levels.items():
        names.setdefault(level, []).append(name)
    return [(", ".join(alike), level) for level, alike in names.items()]


def _line(line: Line, most: int) -> dict[str, Any]:
    """Returns a curve's points and, of a long one, those of its running mean."""
    mean = smooth(line, most) if len(line.x) >= MANY_POINTS else None
    return {
        "name": line.name,
        "colour": COLOURS[line.colour % len(COLOURS)],
        "newest": float(line.y[-1]),
        **thinned_points(line.x, line.y, most),
        "mean": None if mean is None else thinned_points(mean.x, mean.y, most),
    }


def _pictures(sight: Sight) -> list[dict[str, str]]:
    """Returns every figure's name and caption; its version changes when it is drawn anew."""
    found = []
    for name, path in sight.figures.items():
        with contextlib.suppress(OSError):  # it was removed meanwhile
            version = str(path.stat().st_mtime_ns)
            found.append({"name": name, "version": version, "caption": caption_of(path)})
    return found
