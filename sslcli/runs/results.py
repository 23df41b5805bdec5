"""Writes and reads results.json: what a run measured, and how. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sslcli.errors import SslcliError
from sslcli.files import write_atomically
from sslcli.text import as_word, first_line, shell_path

FILE = "results.json"
FORMAT = 2
"""Version 0.1.0 wrote another shape for each command, without a number; these are still read."""
Value = str | int | float | bool | None


T = TypeVar("T")


def read_part(path: Path, cls: type[T]) -> T:
    """Reads the file in which a phase keeps what it measured, as a dataclass.

    Raises SslcliError where it is damaged.
    """
    try:
        return cls(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as reason:
        message = f"{path} cannot be read: {first_line(reason)}"
        fix = (
            f"restore it from a copy; or remove it, and it is measured again: rm {shell_path(path)}"
        )
        raise SslcliError(message, fix) from None


@dataclass(frozen=True)
class Row:
    """Holds the scores of one encoder, network or way to fill holes.

    Raises ValueError where a field holds another type than it says.
    """

    name: str
    scores: dict[str, float | None]
    """Fractions, or in the unit that the command prints; None if it could not be measured."""
    settings: dict[str, Value] = field(default_factory=dict)
    """What distinguishes the row (labels, seed, depth), and what was chosen for it (l2)."""
    seconds: float | None = None
    candidates: dict[str, float] = field(default_factory=dict)
    """The validation score of each value that could have been chosen."""
    per_class: list[float | None] = field(default_factory=list)
    """The accuracy of each class, or its average precision where a picture may have several.

    None for a class without test pictures.
    """
    confusion: list[list[int]] = field(default_factory=list)
    """Counts: row the true class, column the predicted one."""

    def __post_init__(self) -> None:
        scores = (*self.scores.values(), *self.per_class, self.seconds, *self.candidates.values())
        _require(all(score is None or _is_finite(score) for score in scores), "scores", self.name)
        _require(_are_scalars(self.settings.values()), "settings", self.name)


@dataclass(frozen=True)
class Protocol:
    """States how every row was measured. Raises ValueError as Row does."""

    tested_on: str
    data_fingerprint: str | None
    trained_on: str | None = None
    """The labels that were learned from."""
    chosen_on: str | None = None
    """What settings or weights were chosen on."""
    details: dict[str, Value] = field(default_factory=dict)
    """Further entries of this command."""

    def __post_init__(self) -> None:
        _require(_are_scalars(vars(self).values(), (dict,)), "entries", "protocol")
        _require(_are_scalars(self.details.values()), "details", "protocol")

    def entries(self) -> dict[str, Value]:
        """Returns all entries, by name."""
        stated = {"trained_on": self.trained_on, "chosen_on": self.chosen_on}
        return {
            **self.details,
            **{name: text for name, text in stated.items() if text is not None},
            "tested_on": self.tested_on,
            "data_fingerprint": self.data_fingerprint,
        }


@dataclass(frozen=True)
class Results:
    """Holds all that one run of an experiment measured."""

    command: str
    protocol: Protocol
    rows: list[Row]
    runs: list[str] = field(default_factory=list)
    """The folders of the runs that were measured; none where the run measured its own network."""
    settings: dict[str, Value] = field(default_factory=dict)
    """Settings that hold for every row: labels, seed."""
    classes: list[str] = field(default_factory=list)

    def row(self, name: str) -> Row:
        """Returns the first row of that name."""
        return next(row for row in self.rows if row.name == name)


def score(value: float) -> float | None:
    """Returns the value, or None for NaN, which JSON lacks: it could not be measured."""
    return None if math.isnan(value) else float(value)


def numbers(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Returns the scores that could be measured, as run.json lists them."""
    return {name: value for name, value in scores.items() if value is not None}


def percentage(value: float | None) -> str:
    """Returns a fraction as a table shows it."""
    return "–" if value is None else f"{100 * value:.2f} %"


def write_results(run: Path, results: Results) -> None:
    """Writes results.json into the run's folder, as strict JSON."""
    content = json.dumps({"format": FORMAT, **asdict(results)}, indent=2, allow_nan=False)
    write_atomically(run / FILE, f"{content}\n".encode())


def read_results(run: Path) -> Results:
    """Returns what the run measured.

    Raises SslcliError where results.json is missing or damaged.
    """
    path = run / FILE
    try:
        # 0.1.0 wrote a bare NaN for a class without test pictures.
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError:
        raise SslcliError(f"{path} is not there", "name a run that measured something") from None
    except (OSError, ValueError) as reason:
        raise _unreadable(path, str(reason)) from None
    try:
        return _from_json(content) if "format" in content else _from_0_1_0(content)
    except (TypeError, ValueError, KeyError, AttributeError) as reason:
        raise _unreadable(path, f"it holds no results ({reason})") from None


def _unreadable(path: Path, reason: str) -> SslcliError:
    return SslcliError(f"{path} cannot be read: {reason}", "restore the file from a copy")


def _from_json(content: dict[str, Any]) -> Results:
    version, protocol, rows = (content.pop(name) for name in ("format", "protocol", "rows"))
    _require(version == FORMAT, f"format {FORMAT}", "results")
    return Results(protocol=Protocol(**protocol), rows=[Row(**row) for row in rows], **content)


def _require(good: bool, what: str, name: str) -> None:
    if not good:
        raise ValueError(f"{name}: {what} expected")


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _are_scalars(values: Iterable[object], others: tuple[type, ...] = ()) -> bool:
    return all(value is None or isinstance(value, (str, int, float, *others)) for value in values)


COMMANDS_0_1_0 = {
    "cells": "label-curve",
    "networks": "stack-pretrain",
    "init": "finetune",
    "protocol": "inpaint",
}
"""Maps the first of these entries in results.json to its command; linear-eval had none."""
SETTINGS_0_1_0 = {
    "l2", "width", "run", "amount", "num_labels", "seed", "chosen", "depth", "epochs",
}  # fmt: skip
"""Entries of a row that are not scores; but inpaint's `l2` is a score."""
PROTOCOL_0_1_0 = {
    "fitted_on": "trained_on",
    "trained_on": "trained_on",
    "finetuned_on": "trained_on",
    "l2_chosen_on": "chosen_on",
    "stopped_and_weights_chosen_on": "chosen_on",
    "stopped_and_chosen_on": "chosen_on",
    "chosen_on": "chosen_on",
    "tested_on": "tested_on",
    "scored_on": "tested_on",
    "data_fingerprint": "data_fingerprint",
}


def _from_0_1_0(content: dict[str, Any]) -> Results:
    command = next((c for key, c in COMMANDS_0_1_0.items() if key in content), "linear-eval")
    settings = {key: value for key, value in content.items() if _are_scalars([value])}
    fingerprint, run = settings.pop("data_fingerprint", None), settings.pop("run", None)
    rows = _rows_0_1_0(command, content)
    shared: dict[str, Any] | None = content.get("protocol")
    protocol = shared or next((row["protocol"] for _, row in rows), {})
    runs = protocol.pop("runs", [] if run is None else [run])
    known = SETTINGS_0_1_0 if command != "inpaint" else set()
    return Results(
        command,
        _protocol_0_1_0(protocol, fingerprint),
        [_row_0_1_0(name, row, known) for name, row in rows],
        [str(run) for run in runs],
        settings,
        [str(name) for _, row in rows[:1] for name in row.get("classes", [])],
    )


def _rows_0_1_0(command: str, content: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    if command == "finetune":
        return [("finetuned", content["results"])]
    if "results" in content:
        return list(content["results"].items())
    rows = content["cells"] if command == "label-curve" else content["networks"]
    return [(str(row["kind" if command == "label-curve" else "pretraining"]), row) for row in rows]


def _row_0_1_0(name: str, row: dict[str, Any], known: set[str]) -> Row:
    names = ("kind", "pretraining")
    scalars = {k: v for k, v in row.items() if _are_scalars([v]) and k not in names}
    seconds = scalars.pop("seconds", None)
    return Row(
        name,
        {key: value for key, value in scalars.items() if key not in known},
        {key: value for key, value in scalars.items() if key in known},
        seconds,
        row.get("val_top1_by_l2", {}),
        row.get("per_class", []),
        row.get("confusion", []),
    )


def _protocol_0_1_0(protocol: dict[str, Any], fingerprint: str | None) -> Protocol:
    stated = {PROTOCOL_0_1_0[key]: text for key, text in protocol.items() if key in PROTOCOL_0_1_0}
    details = {key: text for key, text in protocol.items() if key not in PROTOCOL_0_1_0}
    return Protocol(
        **{"tested_on": "not stated", "data_fingerprint": fingerprint, **stated},
        details={
            key: text if _are_scalars([text]) else as_word(text) for key, text in details.items()
        },
    )
