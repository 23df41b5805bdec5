"""Describes a run in a few words and numbers: for its report, for `watch`, and for notebooks."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslcli.report.curves import NOT_CURVES
from sslcli.report.families import is_headline
from sslcli.runs.summary import Summary
from sslcli.text import duration

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
MAX_TILES, MAX_WARNINGS = 6, 20


def title_of_run(run: Summary) -> str:
    """Returns `simclr on fashion_sample: pretrain`."""
    choices = run.facts.get("choices", {})
    what = " on ".join(str(choices[group]) for group in ("method", "data") if group in choices)
    return (
        f"{what or run.folder.absolute().parent.name}: {run.facts.get('command', run.folder.name)}"
    )


def subtitle_of_run(run: Summary) -> str:
    """Returns its status, when it began, and its folder."""
    words = [run.status]
    if "started" in run.facts:
        started = datetime.datetime.fromtimestamp(run.facts["started"])
        words.append(f"started {started:%Y-%m-%d %H:%M}")
    words.append(str(run.folder.absolute()))
    return " · ".join(words)


def why_unfinished(run: Summary) -> list[str]:
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


def newest_numbers(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the last value of everything measured."""
    last = {name: value for record in records for name, value in record.items()}
    return {
        name: value
        for name, value in last.items()
        if isinstance(value, (int, float)) and name not in NOT_CURVES
    }


def headlines(run: Summary, numbers: Mapping[str, float]) -> list[tuple[str, str]]:
    """Returns the few numbers to be shown large, as (name, value)."""
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


def warnings_of(run: Summary) -> list[str]:
    """Returns what the run warned of, each once: of its data, then as log.txt has it."""
    path = run.folder / "log.txt"
    log = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    logged = [line.partition(" warning: ")[2] for line in log if " warning: " in line]
    every = list(dict.fromkeys([*map(str, run.facts.get("data", {}).get("warnings", [])), *logged]))
    more = (
        [f"… and {len(every) - MAX_WARNINGS} more in log.txt"] if len(every) > MAX_WARNINGS else []
    )
    return every[:MAX_WARNINGS] + more


def caption_of(figure: Path) -> str:
    """Returns the caption of a file of figures/."""
    return CAPTIONS.get(figure.stem, figure.stem.replace("_", " "))
