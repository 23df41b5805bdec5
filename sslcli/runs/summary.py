"""What is known of runs without opening their records: the rows of `runs`, `compare`, a sweep's table and its report.

Does not import torch. Two thousand runs are read in a second or so; a run's config.yaml is parsed only where asked for.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sslcli.errors import SslcliError
from sslcli.runs.find import find_runs
from sslcli.runs.folder import Validation, read_facts
from sslcli.runs.lock import is_open
from sslcli.saved import read, values_of_saved

SEED, WHERE = "seed", "runtime.outputs"
"""The one setting in which repetitions of an experiment differ, and the one that is none of the experiment's."""


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
        if facts.get("status") == "running" and not is_open(folder, facts.get("host")):
            facts["status"] = "died"
        return cls(folder, facts)

    @property
    def status(self) -> str:
        return str(self.facts.get("status"))

    @property
    def choices(self) -> dict[str, str]:
        """Which choice every group of the config was."""
        return {group: str(choice) for group, choice in self.facts.get("choices", {}).items()}

    @property
    def metrics(self) -> dict[str, float]:
        """The final ones; none where the run is not finished."""
        return {
            name: value
            for name, value in self.facts.get("metrics", {}).items()
            if isinstance(value, (int, float))
        }

    @property
    def validation(self) -> Validation | None:
        """The one of its metrics by which it may be chosen; None where it is not finished, or measured none."""
        found = self.facts.get("validation")
        if not isinstance(found, dict) or str(found.get("metric")) not in self.metrics:
            return None
        return Validation(
            str(found["metric"]), bool(found.get("larger_is_better", True)), found.get("given")
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The whole config by dotted key: the command, every choice (`method`: simclr) and every value
        (`method.temperature`: 0.5). Raises SslcliError where config.yaml is missing or is not one."""
        saved = read(self.folder / "config.yaml")
        return {"command": saved.command, **values_of_saved(saved)}

    @property
    def fingerprint(self) -> str | None:
        """Of the data that it was measured on."""
        found: str | None = self.facts.get("data", {}).get("fingerprint")
        return found


def summaries(outputs: Path) -> list[Summary]:
    """Every run under a folder, newest first."""
    return [Summary.of(folder) for folder in find_runs(outputs)]


def differing(runs: Sequence[Summary], ignored: Iterable[str] = ()) -> list[str]:
    """The settings in which the runs differ, in the config's order.

    One that a run lacks differs from any value, unless it was bound to lack it, having chosen another method, say.
    """
    left_out = set(ignored)
    keys = dict.fromkeys(key for run in runs for key in run.settings if key not in left_out)
    return [key for key in keys if _differs(runs, key)]


def _differs(runs: Sequence[Summary], key: str) -> bool:
    having = [run for run in runs if key in run.settings]
    first = having[0].settings[key]
    if any(run.settings[key] != first for run in having):
        return True
    group = key.partition(".")[0]
    could_have = {(run.settings["command"], run.choices.get(group)) for run in having}
    return any(
        (run.settings["command"], run.choices.get(group)) in could_have
        for run in runs
        if key not in run.settings
    )


def repetitions(
    runs: Sequence[Summary], keys: Sequence[str]
) -> dict[tuple[Any, ...], list[Summary]]:
    """The runs by their values of `keys`: with every key but the seed, the repetitions of each experiment."""
    groups: dict[tuple[Any, ...], list[Summary]] = {}
    for run in runs:
        values = tuple(_hashable(run.settings.get(key)) for key in keys)
        groups.setdefault(values, []).append(run)
    return groups


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


class Spread(NamedTuple):
    """A metric over `n` runs; `sd` with Bessel's correction, None of one run."""

    mean: float
    sd: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g}" if self.sd is None else f"{self.mean:.4g} ± {self.sd:.2g}"


def spread(runs: Iterable[Summary], metric: str) -> Spread | None:
    """Over those of the runs that measured the metric; None where none did."""
    values = [run.metrics[metric] for run in runs if metric in run.metrics]
    if not values:
        return None
    return Spread(
        statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values)
    )


class Choice(NamedTuple):
    """By what one of several groups of runs is best, and which; `reason` says why none is."""

    validation: Validation | None
    best: int | None
    reason: str = ""


def best_of(groups: Sequence[Sequence[Summary]]) -> Choice:
    """The group whose mean of the validation metric is best, where all were measured by the same one on the same data."""
    measured = [run for group in groups for run in group if run.metrics]
    found = {run.validation for run in measured}
    if len(found) != 1 or None in found:
        reason = (
            "they measured no validation metric"
            if found == {None}
            else "they have no validation metric in common"
        )
        return Choice(None, None, reason if measured else "none is finished")
    (validation,) = found
    assert validation is not None
    if len({run.fingerprint for run in measured}) > 1:
        return Choice(validation, None, f"{validation.metric} was not measured on the same data")
    given = [run.metrics[validation.given] for run in measured if validation.given in run.metrics]
    if given and not math.isclose(min(given), max(given), rel_tol=1e-3):
        return Choice(
            validation, None, f"{validation.metric} was measured from another {validation.given}"
        )
    means = {
        index: mean[0]
        for index, group in enumerate(groups)
        if (mean := spread(group, validation.metric))
    }
    if len(means) < 2:
        return Choice(
            validation, None, "only one row is finished" if len(groups) > 1 else "there is one row"
        )
    return Choice(
        validation, (max if validation.larger_is_better else min)(means, key=means.__getitem__)
    )
