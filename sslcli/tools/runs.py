"""`sslcli runs` lists the runs in a folder, newest first."""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sslcli.console import Console
from sslcli.errors import SslcliError, nearest
from sslcli.runs.summary import Summary, summaries
from sslcli.text import as_word, duration, printable
from sslcli.tools.arguments import parse

FACTS = ("status", "command", "started", "seconds", "host", "identity")
"""Entries of run.json for filters and --sort, besides choices, metrics and settings."""
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
    runs = _chosen(found, wanted)
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
    folder = Path(words[0] if named else "outputs").expanduser()
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


def _chosen(runs: list[Summary], wanted: list[tuple[str, str]]) -> list[Summary]:
    """Returns the runs that have all wanted values.

    Filters by entries of run.json first: config.yaml is slow, and parsed only for the runs left.
    """
    quick = {key for run in runs for key in _known(run)}
    for key, typed in sorted(wanted, key=lambda pair: pair[0] not in quick):
        if runs:
            values = _reader(runs, key)
            runs = [run for run in runs if key in (own := values(run)) and _is(own[key], typed)]
    return runs


def _reader(runs: Sequence[Summary], key: str) -> Callable[[Summary], Mapping[str, Any]]:
    """Returns the function that reads the key from run.json, or else from config.yaml.

    Raises SslcliError where no run has the key.
    """
    for values in (_known, _settings):
        if any(key in values(run) for run in runs):
            return values
    keys = {known for run in runs for values in (_known, _settings) for known in values(run)}
    near = nearest(key, keys)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    fix = f"{hint}there is {', '.join(FACTS)}, every metric, and every setting of a config.yaml"
    raise SslcliError(f"no run has a {printable(key)!r}", fix)


def _known(run: Summary) -> dict[str, Any]:
    return {
        **run.metrics,
        **run.choices,
        **{name: run.facts[name] for name in FACTS if name in run.facts},
    }


def _settings(run: Summary) -> dict[str, Any]:
    with contextlib.suppress(SslcliError):  # a run without a config has no settings
        return run.settings
    return {}


def _is(value: Any, typed: str) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(typed) == value
    return as_word(value) == (typed.replace(" ", "") if isinstance(value, list) else typed)


def _sorted(runs: list[Summary], key: str) -> list[Summary]:
    """Sorts the runs by a key; those that lack it come last in either direction."""
    if not runs:
        return runs
    name = key.removeprefix("-")
    values = _reader(runs, name)
    having = [run for run in runs if values(run).get(name) is not None]
    having.sort(key=lambda run: _order(values(run)[name]), reverse=key.startswith("-"))
    return having + [run for run in runs if values(run).get(name) is None]


def _order(value: Any) -> tuple[bool, float, str]:
    """Returns a sort key that puts numbers before text."""
    return (False, value, "") if isinstance(value, (int, float)) else (True, 0.0, as_word(value))


def short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Returns each run's folder name, or its path where several have that name."""
    counted = Counter(folder.name for folder in folders)
    return {
        folder: printable(folder.name if counted[folder.name] == 1 else folder)
        for folder in folders
    }


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
        _started(run)[:16],
        seconds,
        printable(_result(run)),
    )


def _started(run: Summary) -> str:
    # The last three are errors of a number that is no valid date.
    with contextlib.suppress(KeyError, ValueError, OverflowError, OSError):
        return datetime.datetime.fromtimestamp(run.facts["started"]).isoformat(" ", "seconds")
    return ""


def _result(run: Summary) -> str:
    """Returns a run's validation metric and test accuracy, or its error or progress."""
    if run.metrics:
        chosen = [] if run.validation is None else [run.validation.metric]
        shown = [name for name in dict.fromkeys([*chosen, "top1"]) if name in run.metrics] or [
            "loss"
        ]
        return ", ".join(
            f"{name.replace('_', ' ')} {run.metrics[name]:.4g}"
            for name in shown
            if name in run.metrics
        )
    if run.facts.get("error"):
        return str(run.facts["error"])[:60]
    steps = run.facts.get("derived", {}).get("num_steps")
    return f"step {run.facts['step']} of {steps}" if steps and "step" in run.facts else ""


def _write_csv(runs: Sequence[Summary]) -> None:
    choices = dict.fromkeys(name for run in runs for name in run.choices)
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["run", "status", "command", "started", "seconds", *choices, *metrics])
    for run in runs:
        facts = [run.status, run.facts.get("command"), _started(run), run.facts.get("seconds")]
        values = [
            *(run.choices.get(name) for name in choices),
            *(run.metrics.get(name) for name in metrics),
        ]
        writer.writerow([printable(run.folder), *facts, *values])
