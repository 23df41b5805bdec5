"""Composes the report of several runs: what varies between them, and its effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError
from sslcli.jobs.sweep_results import SWEEP_FILE, jobs_of, read_sweep
from sslcli.report import html_page as on_page
from sslcli.report.charts import draw_curves, draw_settings
from sslcli.report.families import Panels, curves_by_family, is_headline
from sslcli.report.frame import Html
from sslcli.runs.folder import read_records
from sslcli.runs.summary import (
    SEED,
    WHERE,
    Choice,
    Summary,
    best_of,
    differing,
    repetitions,
    spread,
)
from sslcli.text import as_word, duration, shell_line, shell_path

MAX_METRICS, MAX_NAME = 6, 60
CAPTION = (
    "Mean ± standard deviation over seeds. "
    "The best is marked; it is chosen by validation, never by test."
)


def sweep_report(folder: Path, runs: Sequence[Summary]) -> tuple[str, list[Html]]:
    """Returns the title, and the page's parts; `runs` are those in the folder."""
    every = sorted(runs, key=lambda run: str(run.folder))
    shown = [run for run in every if _has_settings(run)]
    keys = differing(shown, [WHERE])
    groups = list(repetitions(shown, [key for key in keys if key != SEED]).values())
    choice = best_of(groups)
    counts = ", ".join(
        f"{count} {status}" for status, count in Counter(run.status for run in every).most_common()
    )
    problems = _problems(folder, every)
    started_by = _started_by(folder, problems)
    parts = [
        on_page.paragraph(f"{len(every)} runs: {counts} · {folder.absolute()}"),
        on_page.notes([*problems, *([f"no best: {choice.reason}"] if choice.best is None else [])]),
        _table_of_settings(groups, keys, choice),
        _table_of_runs(
            folder, shown, keys, choice, choice.best if len(groups) == len(shown) else None
        ),
        _against(folder, shown, keys, choice),
        _curves(folder, groups, keys),
        on_page.section("Commands", on_page.commands(_commands(folder, started_by))),
    ]
    commands = sorted({str(run.settings["command"]) for run in shown})
    return f"{folder.absolute().name}: {', '.join(commands)}", parts


def _has_settings(run: Summary) -> bool:
    try:
        return bool(run.settings)
    except SslcliError:
        return False


def _problems(folder: Path, runs: Sequence[Summary]) -> list[str]:
    """Lists the runs that did not finish, and why."""
    problems = []
    for run in runs:
        if run.status != "finished":
            error = run.facts.get("error")
            because = f": {error}" if error else ""
            problems.append(f"{_path_of(run, folder)}: {run.status}{because}")
        if not _has_settings(run):
            problems.append(
                f"{_path_of(run, folder)}: no config that can be read, "
                "so it is in no table and no chart"
            )
    return problems


def _started_by(folder: Path, problems: list[str]) -> list[str]:
    """Returns the command line that started a sweep; nothing if it is no sweep.

    Adds the refused jobs to `problems`.
    """
    if not (folder / SWEEP_FILE).exists():
        return []
    try:
        refused = [job for job in jobs_of(folder) if job.status == "refused"]
        sweep = read_sweep(folder)
    except SslcliError as damaged:
        problems.append(damaged.message)
        return []
    problems += [f"{' '.join(job.what)}: refused: {job.facts.get('error')}" for job in refused]
    return [sweep["command"], *sweep["words"]]


def _table_of_settings(
    groups: Sequence[Sequence[Summary]], keys: Sequence[str], choice: Choice
) -> Html:
    """Shows mean and standard deviation over repetitions, a row a setting."""
    if all(len(group) == 1 for group in groups):
        return Html("")
    settings = [key for key in keys if key != SEED]
    metrics = _metrics([run for group in groups for run in group], choice)
    rows: list[list[Any]] = []
    for group in groups:
        spreads = [spread(group, metric) for metric in metrics]
        measured = [None if one is None else (one.mean, str(one)) for one in spreads]
        finished = sum(run.status == "finished" for run in group)
        values = [_value(group[0], key) for key in settings]
        rows.append([*values, f"{finished} of {len(group)}", *measured])
    table = on_page.table([*settings, "finished", *_titles(metrics, choice)], rows, choice.best)
    return on_page.section("Settings", on_page.paragraph(CAPTION), table)


def _table_of_runs(
    folder: Path, runs: Sequence[Summary], keys: Sequence[str], choice: Choice, best: int | None
) -> Html:
    metrics = _metrics(runs, choice)
    rows = []
    for run in runs:
        seconds = run.facts.get("seconds")
        measured = [run.metrics.get(metric) for metric in metrics]
        time = None if seconds is None else (seconds, duration(seconds))
        rows.append(
            [
                _path_of(run, folder),
                *(_value(run, key) for key in keys),
                *measured,
                run.status,
                time,
            ]
        )
    columns = ["run", *keys, *_titles(metrics, choice), "status", "time"]
    return on_page.section("Runs", on_page.table(columns, rows, best)) if rows else Html("")


def _metrics(runs: Sequence[Summary], choice: Choice) -> list[str]:
    every = dict.fromkeys(metric for run in runs for metric in filter(is_headline, run.metrics))
    first = [choice.validation.metric] if choice.validation else []
    return list(dict.fromkeys([*first, *every]))[:MAX_METRICS]


def _titles(metrics: Sequence[str], choice: Choice) -> list[str]:
    by = choice.validation.metric if choice.validation else None
    return [metric.replace("_", " ") + " (chosen by)" * (metric == by) for metric in metrics]


def _against(folder: Path, runs: Sequence[Summary], keys: Sequence[str], choice: Choice) -> Html:
    metric = choice.validation.metric if choice.validation else ""
    measured = [run for run in runs if metric in run.metrics]
    settings = {key: [_value(run, key) for run in measured] for key in keys if key != SEED}
    if not settings or len(measured) < 2:
        return Html("")
    values = [run.metrics[metric] for run in measured]
    chart = draw_settings(metric, settings, values, [_name(run, keys, folder) for run in measured])
    return on_page.section("Settings and the validation metric", on_page.chart(chart))


def _curves(folder: Path, groups: Sequence[Sequence[Summary]], keys: Sequence[str]) -> Html:
    """Draws the curves of all runs; repetitions share a colour."""
    of_all: dict[str, Panels] = {"training": {}, "validation": {}}
    for colour, run in [(colour, run) for colour, group in enumerate(groups) for run in group]:
        try:
            of_run = curves_by_family(read_records(run.folder), _name(run, keys, folder), colour)
        except SslcliError:  # a damaged file: the run has no curve
            continue
        for family, panels in of_all.items():
            for metric, lines in of_run.get(family, {}).items():
                panels.setdefault(metric, []).extend(lines)
    shown = [
        on_page.chart(draw_curves(panels), family) for family, panels in of_all.items() if panels
    ]
    return on_page.section("Curves", on_page.charts(shown)) if shown else Html("")


def _commands(folder: Path, started_by: list[str]) -> list[tuple[str, list[str]]]:
    quoted = shell_path(folder.absolute())
    commands = []
    if started_by:
        commands.append(("Resume the sweep", [f"sslcli resume {quoted}"]))
        commands.append(("It was started by", [f"sslcli {shell_line(started_by)}"]))
    return [
        *commands,
        ("Compare the runs", [f"sslcli compare {quoted}"]),
        ("Write this report again", [f"sslcli report {quoted}"]),
    ]


def _path_of(run: Summary, folder: Path) -> str:
    return str(run.folder.relative_to(folder))


def _name(run: Summary, keys: Sequence[str], folder: Path) -> str:
    """Returns the settings that vary, or the folder where those are too long."""
    varied = " ".join(f"{key.rsplit('.', 1)[-1]}={_value(run, key)}" for key in keys)
    return varied if 0 < len(varied) <= MAX_NAME else _path_of(run, folder)


def _value(run: Summary, key: str) -> Any:
    """Returns a number, or text as on the command line; None if there is none."""
    value = run.settings.get(key)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if number or key not in run.settings else as_word(value)
