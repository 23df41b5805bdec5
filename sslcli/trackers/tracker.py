"""Defines what a tracker is, and what it gets of a run. Imports nothing slow."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from sslcli.config import flat
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.runs.folder import read_facts
from sslcli.saved import read

PROJECT = "sslcli"
"""The project, or experiment, into which a tracker puts runs where nothing names another."""


@dataclass(frozen=True)
class TrackedRun:
    """Describes a run to a tracker, in every session of the run alike."""

    folder: Path
    key: str
    """12 hex digits that no other run has; a tracker finds its own run by it."""
    sweep: str | None
    """The name of the sweep that the run is a job of."""
    command: str
    outputs: Path
    """The folder under which the run was made: where a tracker of many runs keeps its files."""
    settings: dict[str, Any]
    """By dotted key, a group's choice under the group's name."""
    begun: float
    """Seconds since 1970."""
    given: int = 0
    """How many records, figures and tables were given to the tracker before it is opened."""

    @classmethod
    def of(cls, folder: Path, sweep: str | None) -> TrackedRun:
        """Reads a run's folder; raises SslcliError where it is damaged."""
        facts, saved = read_facts(folder), read(folder / "config.yaml")
        folder, started = folder.absolute(), float(facts.get("started", 0.0))
        told = f"{saved.command} {started!r} {facts.get('identity')}"
        settings = {**saved.choices, **flat(saved.values)}
        named = str(settings.get("runtime.outputs", "outputs"))
        found = (parent.parent for parent in folder.parents if parent.name == saved.command)
        outputs = next(found, expanded(named).absolute())
        key = hashlib.sha256(told.encode()).hexdigest()[:12]
        return cls(folder, key, sweep, saved.command, outputs, settings, started)

    @property
    def name(self) -> str:
        """Returns the name by which people see it: the folder's last two parts."""
        return "/".join(self.folder.parts[-2:])


@dataclass(frozen=True)
class Record:
    """Holds the numbers of one line of metrics.jsonl, named `phase/name`."""

    index: int
    """Counts a run's records from 0, through all phases."""
    phase: str
    step: int
    """Of its phase."""
    epoch: float
    values: dict[str, float]

    @classmethod
    def of(cls, index: int, line: Mapping[str, Any]) -> Record:
        phase, step, epoch = str(line["phase"]), int(line["step"]), float(line["epoch"])
        numbers = {**line, **line.get("timing", {})}
        values = {
            f"{phase}/{name}": float(value)
            for name, value in numbers.items()
            if isinstance(value, int | float) and name not in ("step", "epoch")
        }
        return cls(index, phase, step, epoch, values)


class Tracker(ABC):
    """Writes one run into a tracker. It lives in a process of its own.

    It is opened in every session of the run, and again after it failed: it must go on with what
    it has of the run (`TrackedRun.key`). A method raises where what it got is not written; it gets
    that again later. None but the first gets what another session has written.
    """

    modules: ClassVar[tuple[str, ...]] = ()
    """What it imports; slow imports stand here, and in functions."""
    extra: ClassVar[str] = ""
    """What to give to pip where one of the modules is missing."""
    variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables that say where it puts runs: each place gets the whole run."""

    @abstractmethod
    def __init__(self, run: TrackedRun) -> None:
        """Opens the tracker's run, or makes it."""

    @property
    @abstractmethod
    def look(self) -> str:
        """Returns the command that shows the run, or where it is to be seen."""

    @abstractmethod
    def record(self, record: Record) -> None:
        """Writes a record."""

    @abstractmethod
    def figure(self, name: str, path: Path, step: int) -> None:
        """Writes a PNG of the run, or its new version, drawn after `step`."""

    @abstractmethod
    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], step: int
    ) -> None:
        """Writes a table of the run."""

    @abstractmethod
    def finish(self, status: str, metrics: Mapping[str, float]) -> None:
        """Writes the end of a session: `status` as in run.json, and a finished run's metrics."""

    def close(self) -> None:  # noqa: B027
        """Lets go of what is open, after a failure."""

    @classmethod  # noqa: B027
    def prepare(cls, run: TrackedRun) -> None:
        """Sets environment variables before the modules are imported; keeps the user's own."""

    @classmethod  # noqa: B027
    def make(cls, run: TrackedRun) -> None:
        """Makes what it needs on this machine before it is opened; asks no server."""

    @classmethod
    def place(cls) -> str:
        """Returns 8 hex digits of where the variables put runs now; empty if none is set."""
        named = [f"{name}={os.environ[name]}" for name in cls.variables if os.environ.get(name)]
        return hashlib.sha256("\n".join(named).encode()).hexdigest()[:8] if named else ""

    @classmethod
    def require(cls, name: str) -> None:
        """Raises SslcliError where what it imports is not installed. Imports nothing."""
        packages = [module.partition(".")[0] for module in cls.modules]
        missing = [package for package in packages if find_spec(package) is None]
        if missing:
            raise SslcliError(
                f"runtime.trackers names {name}, which needs the package {missing[0]}",
                f"pip install '{cls.extra or missing[0]}'; or leave {name} out",
            )


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    """Returns a table as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def project(variable: str) -> str:
    """Returns the project that a tracker's own environment variable names, else PROJECT."""
    return os.environ.get(variable) or PROJECT
