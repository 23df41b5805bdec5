"""Composes the report of one run, of any command and in any state."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError
from sslcli.nets.description import JSON as ENCODER
from sslcli.report import html_page as on_page
from sslcli.report.charts import draw_confusion, draw_curves
from sslcli.report.families import curves_by_family
from sslcli.report.frame import Html
from sslcli.report.run_words import (
    caption_of,
    headlines,
    newest_numbers,
    subtitle_of_run,
    title_of_run,
    warnings_of,
    why_unfinished,
)
from sslcli.report.snapshots import choices_of
from sslcli.runs.folder import read_records
from sslcli.runs.summary import Summary
from sslcli.text import hydra_path, hydra_word, shell_path
from sslcli.tools.report.results import diagnostics, evaluations, pairs, results
from sslcli.trained.encoder_files import kept_snapshots

MAX_CLASSES = 100


def run_report(run: Summary) -> tuple[str, list[Html]]:
    """Returns the title, and the page's parts."""
    missing: list[str] = []
    records = _records(run.folder, missing)
    settings = _settings(run, missing)
    normal_loss = run.facts.get("derived", {}).get("normal_loss")
    charts = [
        on_page.chart(draw_curves(panels, normal_loss), family)
        for family, panels in curves_by_family(records).items()
    ]
    heat = _confusion(run.folder, missing)
    redrawn = [name for name, drawn in (("curves", charts), ("confusion", heat)) if drawn]
    pictures, unreadable = on_page.pictures(_captions(run.folder, redrawn))
    if not records:
        missing.append("nothing was recorded, so there are no curves")
    numbers = run.metrics or newest_numbers(records)
    parts = [
        on_page.paragraph(subtitle_of_run(run)),
        on_page.notes([*why_unfinished(run), *missing, *unreadable]),
        on_page.tiles(headlines(run, numbers)),
        _verdict(run),
        _section("Warnings", on_page.notes(warnings_of(run))),
        _section("Curves", on_page.charts(charts)) if charts else Html(""),
        _epochs(run.folder, records),
        _section("Confusion matrix", heat),
        *results(run.folder),
        evaluations(run.folder),
        *diagnostics(run.folder),
        _section("Pictures", pictures),
        on_page.folded("All numbers", on_page.table(("metric", "value"), list(numbers.items()))),
        on_page.folded("Config", on_page.searched("search the settings", pairs(settings))),
        on_page.folded(
            "Environment", on_page.searched("search the environment", pairs(_environment(run)))
        ),
        on_page.section("Commands", on_page.commands(_commands(run))),
    ]
    return title_of_run(run), parts


def _section(heading: str, content: Html) -> Html:
    return on_page.section(heading, content) if content else Html("")


def _verdict(run: Summary) -> Html:
    """Returns the sentences that `worth` ends with."""
    said = run.facts.get("verdict", [])
    content = Html("".join(on_page.paragraph(sentence) for sentence in said))
    return _section("Was pretraining worth it?", content)


def _records(folder: Path, missing: list[str]) -> list[dict[str, Any]]:
    try:
        return read_records(folder)
    except SslcliError as error:
        missing.append(f"there are no curves: {error.message}")
        return []


def _settings(run: Summary, missing: list[str]) -> dict[str, Any]:
    try:
        return run.settings
    except SslcliError as error:
        missing.append(f"the config cannot be shown: {error.message}")
        return {}


def _confusion(folder: Path, missing: list[str]) -> Html:
    """Draws confusion.csv, if it exists and a screen can show it."""
    import numpy as np

    path = folder / "confusion.csv"
    if not path.is_file():
        return Html("")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            (_, *classes), *rows = csv.reader(file)
        matrix = np.array([[int(count) for count in row[1:]] for row in rows])
        if len(classes) > MAX_CLASSES or matrix.shape != (len(classes), len(classes)):
            return Html("")
        return on_page.chart(draw_confusion(matrix, classes))
    except (ValueError, OSError, csv.Error) as reason:
        missing.append(f"confusion.csv cannot be read: {reason}")
        return Html("")


def _epochs(folder: Path, records: list[dict[str, Any]]) -> Html:
    """Returns what each measure would have chosen, and which encoders were kept."""
    kept = kept_snapshots(folder)
    names = [f"encoders were kept after the epochs {', '.join(map(str, kept))}"] if kept else []
    columns = ("would choose by", "epoch", "of measured epochs", "its value", "value at the end")
    rows = [
        (choice.title, choice.epoch, len(choice.curve.x), choice.best, choice.last)
        for choice in choices_of(records)
    ]
    if not names and not rows:
        return Html("")
    table = on_page.table(columns, rows) if rows else Html("")
    return on_page.section("Which epoch", on_page.notes(names), table)


def _captions(folder: Path, without: Collection[str]) -> dict[Path, str]:
    """Returns all pictures with captions: figures, those of `diagnose` and `embed`."""
    figures = [path for path in sorted(folder.glob("figures/**/*.png")) if path.stem not in without]
    captions = {path: caption_of(path) for path in figures}
    for path in sorted(folder.glob("diagnostics/**/*.png")):
        of = "" if path.parent.name == "diagnostics" else f" of {path.parent.name}"
        what = {"rate": "How well the codes compress"}.get(
            path.stem, f"What the features{of} are like"
        )
        captions[path] = f"{what} (sslcli diagnose)"
    for path in sorted(folder.glob("embeddings/*/*.png")):
        also = "; to hover over: map.html beside it" if path.stem == "map" else ""
        captions[path] = f"Features of {path.parent.name} (sslcli embed): {path.stem}{also}"
    return captions


def _environment(run: Summary) -> dict[str, Any]:
    """Returns run.json without the numbers that are shown elsewhere."""
    return {key: value for key, value in run.facts.items() if key != "metrics"}


def _commands(run: Summary) -> list[tuple[str, list[str]]]:
    folder = run.folder.absolute()
    quoted = shell_path(folder)
    commands = [
        ("Run it again, and say whether the result is identical", [f"sslcli rerun {quoted}"])
    ]
    if run.status != "finished":
        commands.insert(0, ("Resume it", [f"sslcli resume {quoted}"]))
    if (run.folder / ENCODER).exists():
        evaluations = [
            f"sslcli linear-eval {hydra_path('run', folder)}",
            f"sslcli diagnose {quoted}",
            f"sslcli embed {quoted}",
        ]
        commands.append(("Evaluate its encoder", evaluations))
    for epoch in kept_snapshots(run.folder)[-1:]:
        at = [f"sslcli linear-eval {hydra_path('run', folder)} {hydra_word('at', str(epoch))}"]
        commands.append(("Evaluate an encoder that was kept", at))
    return [*commands, ("Write this report again", [f"sslcli report {quoted}"])]
