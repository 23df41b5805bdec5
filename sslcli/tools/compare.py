"""`sslcli compare` compares the settings, metrics and curves of runs."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.files import expanded, written_whole
from sslcli.runs.find import resolve_run
from sslcli.runs.folder import read_records
from sslcli.runs.listing import short_names
from sslcli.runs.summary import (
    SEED,
    WHERE,
    Choice,
    Summary,
    best_of,
    differing,
    repetitions,
    spread,
    summaries,
)
from sslcli.text import as_word, printable
from sslcli.tools.arguments import add_outputs, parse, require_free

Group = list[Summary]
"""Runs that differ in the seed alone: one column."""

SIDE_BY_SIDE = 6
"""Number of groups up to which each is a column of the table; more are a line each."""


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    target = _target(given)
    runs = _runs(given.runs, expanded(given.outputs), console)
    keys = differing(runs, (SEED, WHERE))
    groups = list(repetitions(runs, keys).values())
    choice = best_of(groups)
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    drawn = (not given.json or given.output is not None) and _draw(target, groups, keys, console)
    if given.json:
        content = {
            **_values(groups, keys, metrics, choice),
            "curves": str(target.absolute()) if drawn else None,
        }
        print(json.dumps(content, indent=2, allow_nan=False))
        return 0
    _show(groups, keys, metrics, choice, console)
    if drawn:
        console.say(f"curves: {printable(target)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sslcli compare",
        usage="sslcli compare RUN [RUN ...] [--outputs FOLDER] [--output FILE.png] [--force] "
        "[--json]",
        description=__doc__,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's folder, the beginning of its name, or `last`; "
        "a sweep's or any other folder: all the runs in it",
    )
    add_outputs(parser)
    parser.add_argument(
        "--output",
        metavar="FILE.png",
        help="the curves (default: a new file in OUTPUTS/comparisons)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print all that is known; curves only where --output is given",
    )
    return parser


def _target(given: argparse.Namespace) -> Path:
    if given.output is None:
        name = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        return expanded(given.outputs) / "comparisons" / f"{name}.png"
    target = expanded(given.output)
    if target.suffix != ".png":
        raise SslcliError(f"{target} is no name for a picture", "name a file that ends in .png")
    require_free([target], given.force)
    return target


def _runs(words: Sequence[str], outputs: Path, console: Console) -> list[Summary]:
    """Returns the runs that the arguments name, each once.

    Leaves out, with a warning, one in a folder that has no config.
    """
    chosen: dict[Path, Summary] = {}
    for word in words:
        folder = expanded(word)
        if not folder.is_dir() or (folder / "run.json").exists():
            run = Summary.of(resolve_run(word, outputs))
            chosen[run.folder.resolve()] = run
            continue
        for run in (inside := summaries(folder)):
            if (run.folder / "config.yaml").exists():
                chosen[run.folder.resolve()] = run
            else:
                console.warn(f"{printable(run.folder)} is left out: it has no config.yaml")
        if not inside:
            raise SslcliError(
                f"{printable(folder)} holds no runs", "`sslcli runs FOLDER` lists those of a folder"
            )
    if len(chosen) < 2:
        raise SslcliError(
            f"{len(chosen)} run cannot be compared", "name two, or a folder that holds several"
        )
    return sorted(chosen.values(), key=lambda run: run.facts.get("started", 0.0))


def _shared(runs: Sequence[Summary]) -> list[str]:
    """Returns the metrics that every finished run has."""
    finished = [run.metrics for run in runs if run.metrics]
    first = next(iter(finished), {})
    return [name for name in first if all(name in metrics for metrics in finished)]


def _draw(target: Path, groups: Sequence[Group], keys: Sequence[str], console: Console) -> bool:
    from sslcli.report.run_curves import MAX_PANELS, save_run_curves

    curves = {
        _name(index, group[0], keys): [_records(run, console) for run in group]
        for index, group in enumerate(groups)
    }
    runs = [run for group in groups for run in group]
    chosen = [run.validation.metric for run in runs if run.validation is not None]
    metrics = ["loss", *chosen, "val_loss", "val_accuracy"]
    with written_whole(target.parent) as folder:
        num_curves = save_run_curves(folder / target.name, curves, metrics)
    if not num_curves:
        console.warn("no curves: no run recorded a loss or a validation metric over epochs")
    if num_curves > MAX_PANELS:
        console.warn(
            f"{num_curves} curves are too many to look at: the first {MAX_PANELS} are drawn"
        )
    return num_curves > 0


def _records(run: Summary, console: Console) -> list[dict[str, Any]]:
    try:
        return read_records(run.folder)
    except SslcliError:
        console.warn(f"{printable(run.folder)} has no curves: its metrics.jsonl is damaged")
        return []


def _letter(index: int) -> str:
    """Returns the letters of a group: A to Z, AA, AB, ..."""
    return ("" if index < 26 else _letter(index // 26 - 1)) + chr(ord("A") + index % 26)


def _name(index: int, run: Summary, keys: Sequence[str]) -> str:
    """Returns a group's name in the plot: its letter and distinguishing settings."""
    values = [f"{key.rpartition('.')[2]}={_value(run, key)}" for key in keys if key in run.settings]
    return " ".join([_letter(index), *values])


def _value(run: Summary, key: str) -> str:
    return printable(as_word(run.settings[key])) if key in run.settings else "–"


def _seeds(group: Group) -> list[Any]:
    return sorted((run.settings.get(SEED) for run in group), key=str)


def _values(
    groups: Sequence[Group], keys: Sequence[str], metrics: Sequence[str], choice: Choice
) -> dict[str, Any]:
    return {
        "differing": list(keys),
        "metrics": list(metrics),
        "validation": None if choice.validation is None else asdict(choice.validation),
        "best": choice.best,
        "groups": [
            {
                "settings": {
                    key: group[0].settings[key] for key in keys if key in group[0].settings
                },
                "seeds": _seeds(group),
                "runs": [
                    {"run": str(run.folder), "status": run.status, "metrics": run.metrics}
                    for run in group
                ],
                "metrics": {
                    name: over_seeds._asdict()
                    for name in metrics
                    if (over_seeds := spread(group, name))
                },
            }
            for group in groups
        ],
    }


def _show(
    groups: Sequence[Group],
    keys: Sequence[str],
    metrics: Sequence[str],
    choice: Choice,
    console: Console,
) -> None:
    letters = [_letter(index) for index in range(len(groups))]
    lines = [("", *letters), *_setting_lines(groups, keys), *_metric_lines(groups, metrics, choice)]
    if len(groups) > SIDE_BY_SIDE:
        lines = list(zip(*lines, strict=True))
    console.table("", lines[0], lines[1:])
    names = short_names([run.folder for group in groups for run in group])
    for letter, group in zip(letters, groups, strict=True):
        console.say(f"{letter}: {', '.join(names[run.folder] for run in group)}")
    for line in _remarks(groups, keys, choice):
        console.say(line)


def _setting_lines(groups: Sequence[Group], keys: Sequence[str]) -> list[tuple[str, ...]]:
    lines = [(key, *(_value(group[0], key) for group in groups)) for key in keys]
    seeds = [", ".join(map(str, _seeds(group))) for group in groups]
    if len({run.settings.get(SEED) for group in groups for run in group}) > 1:
        lines.append((SEED, *seeds))
    if any(run.status != "finished" for group in groups for run in group):
        lines.append(
            ("status", *(", ".join(dict.fromkeys(run.status for run in group)) for group in groups))
        )
    if any(len(group) > 1 for group in groups):
        measured = [sum(bool(run.metrics) for run in group) for group in groups]
        counts = [
            f"{n}" if n == len(group) else f"{n} of {len(group)}"
            for n, group in zip(measured, groups, strict=True)
        ]
        lines.append(("runs finished", *counts))
    return lines


def _metric_lines(
    groups: Sequence[Group], metrics: Sequence[str], choice: Choice
) -> list[tuple[str, ...]]:
    lines = []
    for name in metrics:
        values = [
            str(over_seeds) if (over_seeds := spread(group, name)) else "–" for group in groups
        ]
        if (
            choice.best is not None
            and choice.validation is not None
            and name == choice.validation.metric
        ):
            values[choice.best] += " *"
        lines.append((name.replace("_", " "), *values))
    return lines


def _remarks(groups: Sequence[Group], keys: Sequence[str], choice: Choice) -> list[str]:
    remarks = []
    if not keys:
        remarks.append("the runs differ in no setting but the seed")
    if "command" in keys:
        commands = dict.fromkeys(group[0].settings["command"] for group in groups)
        shared = _shared([run for group in groups for run in group])
        remarks.append(
            f"metrics that {' and '.join(commands)} share: {', '.join(shared) or 'none'}"
        )
    if any(len(group) > 1 for group in groups):
        remarks.append("mean ± standard deviation over the runs that differ in the seed alone")
    if any(len(set(map(str, seeds))) < len(seeds) for seeds in map(_seeds, groups)):
        remarks.append("a seed that is there twice counts twice")
    if choice.best is None or choice.validation is None:
        return [*remarks, f"none is marked as the best: {choice.reason}"]
    metric = choice.validation.metric.replace("_", " ")
    better = "larger" if choice.validation.larger_is_better else "smaller"
    best = f"* the best by {metric}, measured on validation ({better} is better)"
    return [*remarks, best]
