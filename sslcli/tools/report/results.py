"""Shows results.json and evaluations.jsonl on a run's page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslcli.config import flat
from sslcli.report import html_page as on_page
from sslcli.report.frame import Html
from sslcli.runs.evaluations import FILE as EVALUATIONS
from sslcli.text import as_word

MAX_ROWS = 20


def protocols(content: Any) -> list[dict[str, Any]]:
    """The distinct protocols in a results.json, wherever they stand."""
    if not isinstance(content, dict):
        return []
    own = content.get("protocol")
    below = [
        found for key, value in content.items() if key != "protocol" for found in protocols(value)
    ]
    every = ([own] if isinstance(own, dict) else []) + below
    return [found for index, found in enumerate(every) if found not in every[:index]]


def results(folder: Path) -> list[Html]:
    """results.json: what it lists as a table, and by which protocol."""
    content = json_of(folder / "results.json")
    tables = []
    for name, values in content.items():
        items = (
            values.items()
            if isinstance(values, dict)
            else enumerate(values if isinstance(values, list) else [])
        )
        rows = {
            str(key): value for key, value in items if isinstance(value, dict) and key != "protocol"
        }
        if rows and name != "protocol":
            show = on_page.section if len(rows) <= MAX_ROWS else on_page.folded
            tables.append(show(name.capitalize(), _table_of(rows, named=isinstance(values, dict))))
    told = [pairs(protocol) for protocol in protocols(content)[:1]]
    return [*tables, on_page.folded("Protocol", *told)] if told else tables


def _table_of(rows: Mapping[str, Mapping[str, Any]], named: bool) -> Html:
    """Scalars alone: lists (per class, confusion) have places of their own. `named`: the rows' keys are worth a column."""
    columns = list(
        dict.fromkeys(
            key for row in rows.values() for key, value in row.items() if is_scalar(value)
        )
    )
    lines = [[key] * named + [row.get(column) for column in columns] for key, row in rows.items()]
    return on_page.table([""] * named + [column.replace("_", " ") for column in columns], lines)


def evaluations(folder: Path) -> Html:
    """What was measured of this run's encoder since, with the protocol where the evaluation still lies where it was."""
    path = folder / EVALUATIONS
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    if not lines:
        return Html("")
    rows = {str(number): _link(number, line) for number, line in enumerate(lines, start=1)}
    told = {f"{number} {link['command']}": _protocol_of(link) for number, link in rows.items()}
    every = on_page.folded("Their protocols", pairs(told))
    return on_page.section("Evaluations of this run's encoder", _table_of(rows, named=True), every)


def _link(number: int, line: str) -> dict[str, Any]:
    try:
        return {"command": "", "run": "", **json.loads(line)}
    except (ValueError, TypeError):
        return {"command": f"line {number} of {EVALUATIONS} cannot be read", "run": ""}


def _protocol_of(link: dict[str, Any]) -> str:
    results = Path(str(link["run"])) / "results.json"
    found = protocols(json_of(results))
    return (
        "; ".join(f"{key}: {value}" for key, value in found[0].items())
        if found
        else f"{results} is not there"
    )


def json_of(path: Path) -> dict[str, Any]:
    """A JSON file's object; nothing where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def pairs(values: Mapping[str, Any]) -> Html:
    return on_page.table(
        ("name", "value"), [(key, as_word(value)) for key, value in flat(dict(values)).items()]
    )


def is_scalar(value: object) -> bool:
    return isinstance(value, (str, int, float))
