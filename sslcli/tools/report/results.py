"""Shows results.json, evaluations.jsonl and diagnostics.json on a run's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslcli.config import flat
from sslcli.errors import SslcliError
from sslcli.report import html_page as on_page
from sslcli.report.frame import Html
from sslcli.runs.diagnostics import diagnosed, read_diagnostics
from sslcli.runs.evaluations import Evaluation, read_evaluations
from sslcli.runs.results import FILE as RESULTS
from sslcli.runs.results import Results, Row, read_results
from sslcli.text import as_word

MAX_ROWS = 20


def results(folder: Path) -> list[Html]:
    """Returns a table of the results, and the protocol; a note if they are damaged."""
    if not (folder / RESULTS).exists():
        return []
    try:
        measured = read_results(folder)
    except SslcliError as error:
        return [on_page.notes([error.message])]
    show = on_page.section if len(measured.rows) <= MAX_ROWS else on_page.folded
    table = _table([{"": row.name, **row.settings, **_scores(row)} for row in measured.rows])
    return [show("Results", table), on_page.folded("Protocol", pairs(_protocol(measured)))]


def _scores(row: Row) -> dict[str, Any]:
    """Returns the row's scores and seconds; its lists are shown elsewhere."""
    return row.scores if row.seconds is None else {**row.scores, "seconds": row.seconds}


def _protocol(measured: Results) -> dict[str, Any]:
    about = {"runs": ", ".join(measured.runs)} if measured.runs else {}
    return {**about, **measured.settings, **measured.protocol.entries()}


def _table(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Returns a table with a column for every key of any row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[row.get(column) for column in columns] for row in rows]
    return on_page.table([column.replace("_", " ") for column in columns], lines)


def evaluations(folder: Path) -> Html:
    """Returns the later evaluations of this run's encoder, and their protocols."""
    evaluated, unreadable = read_evaluations(folder)
    if not evaluated and not unreadable:
        return Html("")
    rows, protocols = [], {}
    for number, evaluation in enumerate(evaluated, start=1):
        about = {"": str(number), "command": evaluation.command, "run": evaluation.run}
        rows.append({**about, **evaluation.settings, **evaluation.metrics})
        protocols[f"{number} {evaluation.command}"] = _protocol_of(evaluation)
    return on_page.section(
        "Evaluations of this run's encoder",
        on_page.notes(unreadable),
        _table(rows),
        on_page.folded("Their protocols", pairs(protocols)),
    )


def _protocol_of(evaluation: Evaluation) -> str:
    try:
        protocol = read_results(Path(evaluation.run)).protocol
    except SslcliError as error:
        return error.message
    return "; ".join(f"{key}: {value}" for key, value in protocol.entries().items())


def diagnostics(folder: Path) -> list[Html]:
    """Returns what `diagnose` measured, of the finished encoder and of snapshots."""
    return [_diagnostics(folder, epoch) for epoch in (None, *diagnosed(folder))]


def _diagnostics(folder: Path, epoch: int | None) -> Html:
    """Returns the numbers, and the protocol; a note where the file is damaged."""
    try:
        measured = read_diagnostics(folder, epoch)
    except SslcliError as error:
        return on_page.notes([error.message])
    if measured is None:
        return Html("")
    numbers = [(key.replace("_", " "), value) for key, value in measured.numbers().items()]
    return on_page.section(
        f"Features{'' if epoch is None else f' after epoch {epoch}'} (sslcli diagnose)",
        on_page.notes(measured.warnings),
        on_page.table(("", "value"), numbers),
        on_page.folded("Their protocol", pairs(measured.protocol)),
    )


def pairs(values: Mapping[str, Any]) -> Html:
    """Returns a table of names and values, nested ones by dotted names."""
    return on_page.table(
        ("name", "value"), [(key, as_word(value)) for key, value in flat(dict(values)).items()]
    )
