"""What is known of runs without opening their records: the rows of `runs`, `compare`, a sweep's table and its report.

Does not import torch. Two thousand runs are read in a second or so; a run's config.yaml is parsed only where asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sslcli.config import read, values_of_saved
from sslcli.engine.run import Validation, find_runs, is_open, read_facts
from sslcli.errors import SslcliError

SEED = "seed"
"""The one setting in which repetitions of an experiment differ."""


@dataclass(frozen=True, eq=False)
class Summary:
    """A run. `facts`: its run.json, `status` being `died` where it says `running` and no process works on it, and `damaged`
    where the file cannot be read."""

    folder: Path
    facts: dict[str, Any]

    @classmethod
    def of(cls, folder: Path) -> Summary:
        try:
            facts = read_facts(folder)
        except SslcliError as damaged:
            return cls(folder, {"status": "damaged", "error": damaged.message})
        if facts.get("status") == "running" and not is_open(folder):
            facts["status"] = "died"
        return cls(folder, facts)

    @property
    def status(self) -> str:
        return str(self.facts.get("status"))

    @property
    def metrics(self) -> dict[str, float]:
        """The final ones; none where the run is not finished."""
        found: dict[str, float] = self.facts.get("metrics", {})
        return found

    @property
    def validation(self) -> Validation | None:
        """The one of its metrics by which it may be chosen; None where it is not finished, or measured none."""
        found = self.facts.get("validation")
        return None if found is None else Validation(**found)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The whole config by dotted key: every choice (`method`: simclr) and every value (`method.temperature`: 0.5).
        Raises SslcliError where config.yaml is missing or is not one."""
        return values_of_saved(read(self.folder / "config.yaml"))


def summaries(outputs: Path) -> list[Summary]:
    """Every run under a folder, newest first."""
    return [Summary.of(folder) for folder in find_runs(outputs)]


def differing(runs: Sequence[Summary], ignored: Iterable[str] = ()) -> list[str]:
    """The settings in which the runs differ, in the config's order; one that a run lacks differs from any value."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    left_out = set(ignored)
    absent = object()
    return [
        key
        for key in keys
        if key not in left_out
        and any(run.settings.get(key, absent) != runs[0].settings.get(key, absent) for run in runs)
    ]


def repetitions(runs: Sequence[Summary], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Summary]]:
    """The runs by their values of `keys`: with every key but the seed, the repetitions of each experiment."""
    groups: dict[tuple[Any, ...], list[Summary]] = {}
    for run in runs:
        values = tuple(_hashable(run.settings.get(key)) for key in keys)
        groups.setdefault(values, []).append(run)
    return groups


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
