"""Summarises runs without reading their records.

`runs`, `compare`, sweeps and reports use it. It imports no torch, and reads two thousand runs in
about a second: config.yaml is parsed only where a setting is needed.
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
"""The setting that differs between repetitions, and the one that says where runs are."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Holds a run's folder and its run.json (`facts`).

    `status` is `died` where run.json says `running` and no process works on the run, and `damaged`
    where run.json cannot be read.
    """

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
        """Returns the name of every group's choice."""
        return {group: str(choice) for group, choice in self.facts.get("choices", {}).items()}

    @property
    def metrics(self) -> dict[str, float]:
        """Returns the final metrics; empty where the run is not finished."""
        return {
            name: value
            for name, value in self.facts.get("metrics", {}).items()
            if isinstance(value, (int, float))
        }

    @property
    def validation(self) -> Validation | None:
        """Returns the metric by which the run is compared; None if unfinished or without."""
        saved = self.facts.get("validation")
        if not isinstance(saved, dict) or str(saved.get("metric")) not in self.metrics:
            return None
        larger_is_better = bool(saved.get("larger_is_better", True))
        return Validation(str(saved["metric"]), larger_is_better, saved.get("given"))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Returns command, choices (`method`) and values (`method.temperature`) by key.

        Raises SslcliError where config.yaml is missing or is not a saved config.
        """
        saved = read(self.folder / "config.yaml")
        return {"command": saved.command, **values_of_saved(saved)}

    @property
    def fingerprint(self) -> str | None:
        """Returns the fingerprint of the data that the run was measured on."""
        fingerprint: str | None = self.facts.get("data", {}).get("fingerprint")
        return fingerprint


def summaries(outputs: Path) -> list[Summary]:
    """Returns every run under a folder, newest first."""
    return [Summary.of(folder) for folder in find_runs(outputs)]


def differing(runs: Sequence[Summary], ignored: Iterable[str] = ()) -> list[str]:
    """Returns the settings in which the runs differ, in the config's order.

    A missing setting differs, unless the run's choice (another method, say) has no such setting.
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
    """Groups runs by their values of `keys`; all keys but the seed give experiments."""
    groups: dict[tuple[Any, ...], list[Summary]] = {}
    for run in runs:
        values = tuple(_hashable(run.settings.get(key)) for key in keys)
        groups.setdefault(values, []).append(run)
    return groups


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


class Spread(NamedTuple):
    """Describes a metric over `n` runs.

    `sd` has Bessel's correction, and is None for one run.
    """

    mean: float
    sd: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g}" if self.sd is None else f"{self.mean:.4g} ± {self.sd:.2g}"


def spread(runs: Iterable[Summary], metric: str) -> Spread | None:
    """Returns a metric's spread over the runs that have it; None where none has."""
    values = [run.metrics[metric] for run in runs if metric in run.metrics]
    if not values:
        return None
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), sd, len(values))


class Choice(NamedTuple):
    """Names the metric that compares groups of runs, and the index of the best group.

    `reason` says why no group is best.
    """

    validation: Validation | None
    best: int | None
    reason: str = ""


def best_of(groups: Sequence[Sequence[Summary]]) -> Choice:
    """Returns the group with the best mean of the validation metric.

    None is best unless all runs have the same metric, measured on the same data.
    """
    measured = [run for group in groups for run in group if run.metrics]
    validations = {run.validation for run in measured}
    if len(validations) != 1 or None in validations:
        reason = (
            "they measured no validation metric"
            if validations == {None}
            else "they have no validation metric in common"
        )
        return Choice(None, None, reason if measured else "none is finished")
    (validation,) = validations
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
