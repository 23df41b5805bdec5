"""Writes and reads evaluations.jsonl, a line for each evaluation of an encoder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslcli.console import Console

FILE = "evaluations.jsonl"


@dataclass(frozen=True)
class Evaluation:
    """Holds the final scores of a run's encoder, as one command measured them."""

    command: str
    run: str
    """The folder of the evaluation's own run, which holds its results.json."""
    settings: dict[str, Any]
    """What the scores depend on: labels, seed."""
    metrics: dict[str, float]


def append_evaluation(source: Path, evaluation: Evaluation, console: Console) -> None:
    """Appends a line in the evaluated run `source`.

    Warns where it cannot be written: the evaluation's own run is complete without it.
    """
    line = json.dumps(asdict(evaluation), allow_nan=False) + "\n"
    try:
        # Not through a link: a run that came from elsewhere must not lead out of its folder.
        descriptor = os.open(
            source / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666
        )
        with open(descriptor, "a", encoding="utf-8") as lines:  # noqa: PTH123
            lines.write(line)
    except OSError as reason:
        console.warn(f"the link could not be written into {source}: {reason.strerror}")


def read_evaluations(run: Path) -> tuple[list[Evaluation], list[str]]:
    """Returns the evaluations, oldest first, and a message for each unreadable line."""
    path = run / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    evaluations, unreadable = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            evaluations.append(_parsed(json.loads(line)))
        except (ValueError, TypeError, AttributeError):
            unreadable.append(f"line {number} of {FILE} cannot be read")
    return evaluations, unreadable


def _parsed(entries: dict[str, Any]) -> Evaluation:
    """Returns the evaluation of a line; 0.1.0 wrote settings and metrics side by side."""
    command, run = str(entries.pop("command", "evaluation")), str(entries.pop("run", ""))
    if isinstance(entries.get("metrics"), dict):
        evaluation = Evaluation(command, run, **entries)
    else:
        metrics = {k: v for k, v in entries.items() if isinstance(v, float) and k != "labels"}
        settings = {k: v for k, v in entries.items() if k not in metrics}
        evaluation = Evaluation(command, run, settings, metrics)
    if not all(isinstance(value, (int, float)) for value in evaluation.metrics.values()):
        raise ValueError("a metric is no number")
    return evaluation
