"""`sslcli runs` lists the runs in a folder, newest first."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.runs.listing import reader, result_of, runs_having, short_names, started_at
from sslcli.runs.summary import Summary, summaries
from sslcli.text import as_word, duration, printable
from sslcli.tools.arguments import parse

COLUMNS = ("run", "status", "command", "method", "data", "started", "time", "result")
EXAMPLES = """\
examples
  sslcli runs method=simclr status=finished --sort -knn_accuracy
  sslcli runs other/outputs method.temperature=0.2 seed=0 --csv
"""


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), _joined(arguments))
    folder, wanted = _folder_and_filters(given.words)
    found = summaries(folder)
    runs = runs_having(found, wanted)
    if given.sort is not None:
        runs = _sorted(runs, given.sort)
    if given.json:
        print(json.dumps([{"run": str(run.folder), **run.facts} for run in runs], indent=2))
    elif given.csv:
        _write_csv(runs)
    else:
        names = short_names([run.folder for run in runs])
        _print_aligned([COLUMNS, *(_row(run, names[run.folder]) for run in runs)])
        of_how_many = f" of {len(found)}" if wanted else ""
        console.say(f"{len(runs)}{of_how_many} runs under {printable(folder)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sslcli runs",
        usage="sslcli runs [FOLDER] [KEY=VALUE ...] [--sort KEY] [--json | --csv]",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FOLDER KEY=VALUE",
        help="the folder (default: outputs), then what the runs must have: "
        "status, command, or any setting",
    )
    parser.add_argument(
        "--sort",
        metavar="KEY",
        help="seconds, started, any metric or setting; -KEY: descending (default: newest first)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print run.json of every run as one JSON array"
    )
    form.add_argument(
        "--csv", action="store_true", help="print a line of choices and metrics for every run"
    )
    return parser


def _joined(arguments: list[str]) -> list[str]:
    """Joins `--sort -key` to one argument: argparse would read `-key` as a flag."""
    if "--sort" not in arguments[:-1]:
        return arguments
    at = arguments.index("--sort")
    return [*arguments[:at], f"--sort={arguments[at + 1]}", *arguments[at + 2 :]]


def _folder_and_filters(words: list[str]) -> tuple[Path, list[tuple[str, str]]]:
    named = bool(words) and (Path(words[0]).is_dir() or "=" not in words[0])
    folder = expanded(words[0] if named else "outputs")
    if not folder.is_dir():
        message = f"there is no folder {printable(folder.absolute())}"
        raise SslcliError(message, "start a run: sslcli pretrain; or name the folder of yours")
    filters = []
    for word in words[named:]:
        key, sign, value = word.partition("=")
        if not key or not sign:
            message = f"{printable(word)!r} says nothing that a run must have"
            raise SslcliError(message, "give key=value, as method=simclr; a folder comes first")
        filters.append((key, value))
    return folder, filters


def _sorted(runs: list[Summary], key: str) -> list[Summary]:
    """Sorts the runs by a key; those that lack it come last in either direction."""
    if not runs:
        return runs
    name = key.removeprefix("-")
    values = reader(runs, name)
    having = [run for run in runs if values(run).get(name) is not None]
    having.sort(key=lambda run: _order(values(run)[name]), reverse=key.startswith("-"))
    return having + [run for run in runs if values(run).get(name) is None]


def _order(value: Any) -> tuple[bool, float, str]:
    """Returns a sort key that puts numbers before text."""
    return (False, value, "") if isinstance(value, (int, float)) else (True, 0.0, as_word(value))


def _print_aligned(rows: Sequence[Sequence[str]]) -> None:
    """Prints aligned columns uncut; two thousand rows take less than a second."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _row(run: Summary, name: str) -> tuple[str, ...]:
    facts = run.facts
    seconds = duration(facts["seconds"]) if "seconds" in facts else ""
    words = (facts.get("command", ""), run.choices.get("method", ""), run.choices.get("data", ""))
    return (
        name,
        run.status,
        *map(printable, words),
        started_at(run)[:16],
        seconds,
        printable(result_of(run)),
    )


def _write_csv(runs: Sequence[Summary]) -> None:
    choices = dict.fromkeys(name for run in runs for name in run.choices)
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["run", "status", "command", "started", "seconds", *choices, *metrics])
    for run in runs:
        facts = [run.status, run.facts.get("command"), started_at(run), run.facts.get("seconds")]
        values = [
            *(run.choices.get(name) for name in choices),
            *(run.metrics.get(name) for name in metrics),
        ]
        writer.writerow([printable(run.folder), *facts, *values])
