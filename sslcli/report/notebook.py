"""Shows runs in notebooks: HTML without scripts and styles, which any notebook keeps.

Curves are pictures, so that they are still there when the notebook is read without sslcli.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError
from sslcli.report.figures import save_curves
from sslcli.report.frame import Html, picture_uri, templates
from sslcli.report.html_page import pictures
from sslcli.report.run_curves import save_run_curves
from sslcli.report.run_words import (
    caption_of,
    headlines,
    newest_numbers,
    title_of_run,
    warnings_of,
    why_unfinished,
)
from sslcli.runs.growing import GrowingRecords
from sslcli.runs.listing import result_of, short_names, started_at
from sslcli.runs.summary import Summary

MAX_ROWS, MAX_DRAWN = 20, 12
"""Runs that a list shows, and whose curves it draws."""


def run_html(run: Summary) -> str:
    """Returns a run's title, state, numbers and curves."""
    growing = GrowingRecords(run.folder)
    with contextlib.suppress(OSError):  # without its records a run is shown all the same
        growing.read()
    records = growing.records
    levels = run.facts.get("derived", {}).get("normal_loss")
    picture = io.BytesIO()
    with contextlib.suppress(SslcliError):  # there is nothing to draw yet
        save_curves(picture, _placed(records), levels if isinstance(levels, dict) else None)
    return _part(
        "run",
        title_of_run(run),
        run.status,
        str(run.folder),
        [*why_unfinished(run), *warnings_of(run)],
        headlines(run, run.metrics or newest_numbers(records)),
        _address(picture),
    )


def _placed(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the records that have a place on one x axis."""
    axes = ([one for one in records if axis in one] for axis in ("epoch", "step"))
    return next((placed for placed in axes if placed), [])


def runs_html(runs: Sequence[Summary]) -> str:
    """Returns a table of the runs, and the curves of the newest of them."""
    names = short_names([run.folder for run in runs])
    rows = [
        (
            names[run.folder],
            run.status,
            str(run.facts.get("command", "")),
            run.choices.get("method", ""),
            run.choices.get("data", ""),
            started_at(run)[:16],
            result_of(run),
        )
        for run in runs[:MAX_ROWS]
    ]
    return _part("runs", rows, len(runs) - len(rows), _address(_curves(runs, names)))


def _curves(runs: Sequence[Summary], names: Mapping[Path, str]) -> io.BytesIO:
    """Draws what the runs are compared by; the loss too where all have one method."""
    drawn = {}
    for run in runs[:MAX_DRAWN]:
        growing = GrowingRecords(run.folder)
        with contextlib.suppress(OSError):
            growing.read()
        drawn[names[run.folder]] = [growing.records]
    chosen = [run.validation.metric for run in runs[:MAX_DRAWN] if run.validation]
    methods = {(run.facts.get("command"), run.choices.get("method")) for run in runs[:MAX_DRAWN]}
    picture = io.BytesIO()
    save_run_curves(picture, drawn, [*chosen, *(["loss"] if len(methods) == 1 else [])])
    return picture


def figures_html(paths: Mapping[str, Path]) -> str:
    """Returns all pictures with their captions, and names those that cannot be read."""
    shown, unreadable = pictures({path: caption_of(path) for path in paths.values()})
    return _part("figures", shown, unreadable)


def _address(picture: io.BytesIO) -> Html | None:
    content = picture.getvalue()
    return picture_uri(content, "png") if content else None


def _part(macro: str, *arguments: object) -> str:
    module = templates().get_template("notebook.html.jinja").module
    return str(getattr(module, macro)(*arguments))
