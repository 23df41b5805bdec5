"""Composes the report of one run, of any command and in any state."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError
from sslcli.nets.description import JSON as ENCODER
from sslcli.report import html_page as on_page
from sslcli.report.charts import curves_by_family, draw_confusion, draw_curves, is_headline
from sslcli.report.curves import NOT_CURVES
from sslcli.report.frame import Html
from sslcli.report.snapshots import choices_of
from sslcli.runs.folder import read_records
from sslcli.runs.summary import Summary
from sslcli.text import duration, hydra_path, hydra_word, shell_path
from sslcli.tools.report.results import diagnostics, evaluations, pairs, results
from sslcli.trained.encoder_files import kept_snapshots

CAPTIONS = {
    "views": "What training sees: each picture, and views of it as the augmentation makes them",
    "restorations": "Restorations of validation pictures: clean, damaged, restored",
    "attention": "Where each head of the encoder's last block looks: white is the most",
    "prototypes": "The validation pictures that score a prototype highest, the commonest first",
    "reconstructions": "Reconstructions of validation pictures",
    "fillings": "Holes in test pictures, filled by the network and by simpler ways",
    "traversals": "Codes moved along their principal directions, decoded",
    "label_curve": "Accuracy by the number of labels",
    "depths": "Errors after fine-tuning, by depth and kind of pretraining",
    "confusion": "Confusion matrix: the percentage of each true class",
    "curves": "Curves of training",
    "snapshots": "Measures of the encoder over the epochs; a line marks the one each would choose",
}
MAX_CLASSES, MAX_TILES, MAX_WARNINGS, MAX_ROWS = 100, 6, 20, 20


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
    numbers = run.metrics or _newest(records)
    parts = [
        on_page.paragraph(_subtitle(run)),
        on_page.notes([*_state(run), *missing, *unreadable]),
        on_page.tiles(_tiles(run, numbers)),
        _verdict(run),
        _section("Warnings", on_page.notes(_warnings(run))),
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
    return _title(run), parts


def _section(heading: str, content: Html) -> Html:
    return on_page.section(heading, content) if content else Html("")


def _verdict(run: Summary) -> Html:
    """Returns the sentences that `worth` ends with."""
    said = run.facts.get("verdict", [])
    content = Html("".join(on_page.paragraph(sentence) for sentence in said))
    return _section("Was pretraining worth it?", content)


def _title(run: Summary) -> str:
    choices = run.facts.get("choices", {})
    what = " on ".join(str(choices[group]) for group in ("method", "data") if group in choices)
    return (
        f"{what or run.folder.absolute().parent.name}: {run.facts.get('command', run.folder.name)}"
    )


def _subtitle(run: Summary) -> str:
    words = [run.status]
    if "started" in run.facts:
        started = datetime.datetime.fromtimestamp(run.facts["started"])
        words.append(f"started {started:%Y-%m-%d %H:%M}")
    words.append(str(run.folder.absolute()))
    return " · ".join(words)


def _state(run: Summary) -> list[str]:
    """Explains why a run has not finished."""
    facts, lines = run.facts, []
    if run.status != "finished":
        planned = facts.get("derived", {}).get("num_steps")
        steps = (
            f", after step {facts['step']}" + (f" of {planned}" if planned else "")
            if "step" in facts
            else ""
        )
        lines.append(
            f"not finished: {run.status}{steps}; "
            "final numbers are missing, those shown are the newest"
        )
    if facts.get("error"):
        lines.append(str(facts["error"]))
    return lines


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


def _newest(records: list[dict[str, Any]]) -> dict[str, float]:
    """Returns the last value of everything measured."""
    last = {name: value for record in records for name, value in record.items()}
    return {
        name: value
        for name, value in last.items()
        if isinstance(value, (int, float)) and name not in NOT_CURVES
    }


def _tiles(run: Summary, numbers: Mapping[str, float]) -> list[tuple[str, str]]:
    chosen = run.validation.metric if run.validation else None
    names = sorted(filter(is_headline, numbers), key=lambda name: name != chosen)[:MAX_TILES]
    shown = [
        (f"{name.replace('_', ' ')}{' (chosen by)' * (name == chosen)}", f"{numbers[name]:.4g}")
        for name in names
    ]
    if "seconds" in run.facts:
        shown.append(("time", duration(run.facts["seconds"])))
    if run.facts.get("images_per_second"):
        shown.append(("images per second", f"{run.facts['images_per_second']:,.0f}"))
    if run.facts.get("peak_memory_bytes"):
        shown.append(("peak memory", f"{run.facts['peak_memory_bytes'] / 1e9:.2f} GB"))
    return shown


def _warnings(run: Summary) -> list[str]:
    path = run.folder / "log.txt"
    log = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    logged = [line.partition(" warning: ")[2] for line in log if " warning: " in line]
    every = list(dict.fromkeys([*map(str, run.facts.get("data", {}).get("warnings", [])), *logged]))
    more = (
        [f"… and {len(every) - MAX_WARNINGS} more in log.txt"] if len(every) > MAX_WARNINGS else []
    )
    return every[:MAX_WARNINGS] + more


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
    captions = {path: CAPTIONS.get(path.stem, path.stem.replace("_", " ")) for path in figures}
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
