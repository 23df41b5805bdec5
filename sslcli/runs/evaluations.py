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
    """Appends a line in the evaluated run `source`, once.

    It is to be called before the evaluation's own run is finished: one that ends in between comes
    here again. Warns where it cannot be written: that run is complete without it.
    """
    line = json.dumps(asdict(evaluation), allow_nan=False).encode()
    try:
        # Not through a link: a run that came from elsewhere must not lead out of its folder.
        descriptor = os.open(
            source / FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666
        )
        with open(descriptor, "a+b") as lines:  # noqa: PTH123
            lines.seek(0)
            before = lines.read()
            if line not in before.split(b"\n")[:-1]:
                # A line that a full disk or a kill cut off must not swallow this one.
                torn = before and not before.endswith(b"\n")
                lines.write((b"\n" if torn else b"") + line + b"\n")
    except OSError as reason:
        console.warn(f"the link could not be written into {source}: {reason.strerror}")


def read_evaluations(run: Path) -> tuple[list[Evaluation], list[str]]:
    """Returns the evaluations, oldest first, and a message for each unreadable line.

    Of one that its own run measured twice, as its code had changed in between, the last is taken.
    """
    path = run / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    evaluations: dict[object, Evaluation] = {}
    unreadable = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found = _parsed(json.loads(line))
        except (ValueError, TypeError, AttributeError):
            unreadable.append(f"line {number} of {FILE} cannot be read")
            continue
        told = json.dumps(found.settings, sort_keys=True)
        key = (found.command, found.run, told) if found.run else number
        evaluations.pop(key, None)
        evaluations[key] = found
    return list(evaluations.values()), unreadable


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
