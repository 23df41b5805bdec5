"""Chooses runs by what they are, and says in a row what each is. Imports no torch."""

from __future__ import annotations

import contextlib
import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError, nearest
from sslcli.runs.summary import Summary
from sslcli.text import as_word, printable

FACTS = ("status", "command", "started", "seconds", "host", "identity")
"""Entries of run.json for filters and sorting, besides choices, metrics and settings."""


def runs_having(runs: list[Summary], wanted: list[tuple[str, str]]) -> list[Summary]:
    """Returns the runs that have all wanted values.

    Filters by entries of run.json first: config.yaml is slow, and parsed only for the runs left.
    """
    quick = {key for run in runs for key in _known(run)}
    for key, typed in sorted(wanted, key=lambda pair: pair[0] not in quick):
        if runs:
            values = reader(runs, key)
            runs = [run for run in runs if key in (own := values(run)) and _is(own[key], typed)]
    return runs


def reader(runs: Sequence[Summary], key: str) -> Callable[[Summary], Mapping[str, Any]]:
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


def short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Returns each run's folder name, or its path where several have that name."""
    counted = Counter(folder.name for folder in folders)
    return {
        folder: printable(folder.name if counted[folder.name] == 1 else folder)
        for folder in folders
    }


def started_at(run: Summary) -> str:
    # The last three are errors of a number that is no valid date.
    with contextlib.suppress(KeyError, ValueError, OverflowError, OSError):
        return datetime.datetime.fromtimestamp(run.facts["started"]).isoformat(" ", "seconds")
    return ""


def result_of(run: Summary) -> str:
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
