"""Says what is shown of a run at one moment, on a terminal or on a page."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sslcli.report.curves import is_number
from sslcli.report.families import Panels, curves_by_family
from sslcli.report.run_words import headlines, newest_numbers, title_of_run, warnings_of
from sslcli.runs.figures import figures_of
from sslcli.runs.growing import GrowingRecords
from sslcli.runs.lock import HOST
from sslcli.runs.summary import Summary
from sslcli.text import duration

GONE = "gone"
"""The status of a run whose folder was removed."""
RUNNING = ("running", "waiting")
"""The statuses of a run that goes on by itself."""
SILENT_AFTER, TIMES_AS_LONG = 120.0, 20
"""Seconds without a record, and how many times as long as usual, until that is an alarm."""
QUICK, TIMES_AS_RARE = 0.1, 20
"""Seconds that curves may take each time; if they take longer, so many times that long passes."""
REDRAWN = ("curves",)
"""Figures that are shown as live curves."""


class Progress(NamedTuple):
    """Says how far a run is; `num_steps` and `seconds_left` are None where they are not known."""

    phase: str
    step: int
    epoch: float | None
    num_steps: int | None
    seconds_left: float | None

    @property
    def share(self) -> float | None:
        if self.num_steps is None:
            return None
        return self.step / self.num_steps

    @property
    def words(self) -> str:
        """Returns `step 40 of 60, epoch 2.67, 12.0 s left`."""
        of_all = "" if self.num_steps is None else f" of {self.num_steps:,}"
        words = [f"step {self.step:,}{of_all}"]
        if self.epoch is not None:
            words.append(f"epoch {self.epoch:.2f}")
        if self.seconds_left is not None:
            words.append(f"{duration(self.seconds_left)} left")
        return ", ".join(words)


@dataclass(frozen=True)
class Sight:
    """What is shown of a run."""

    folder: Path
    title: str
    status: str
    alarms: list[str]
    """What is wrong now."""
    warnings: list[str]
    """What the run has warned of."""
    numbers: list[tuple[str, str]]
    progress: Progress | None
    families: dict[str, Panels]
    levels: dict[str, float]
    """Values of the loss by name, such as of a collapsed model."""
    figures: dict[str, Path] = field(default_factory=dict)
    """Pictures that the run drew, by their path below its folder."""

    @property
    def has_ended(self) -> bool:
        return self.status not in RUNNING


class Watched:
    """Looks at one run again and again; reads only what is new, and writes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._growing = GrowingRecords(folder)
        self._families: dict[str, Panels] = {}
        self._is_stale, self._due = True, 0.0
        self._speed = Speed()
        self._log: tuple[Any, list[str]] = (None, [])
        self._last: Sight | None = None

    def look(self) -> Sight:
        """Returns what is there now; of a folder that is gone, what was there last."""
        if not os.path.isdir(self.folder):  # noqa: PTH112  # Path.is_dir raises where it may not look
            self._last = self._gone()
            return self._last
        run, alarms = _summary(self.folder), []
        try:
            changed = self._growing.read()
        except OSError as reason:
            changed = False
            alarms.append(f"metrics.jsonl cannot be read: {reason.strerror}")
        self._draw(changed, run.status in RUNNING)
        newest = self._growing.newest
        alarms += [*_alarms(run, newest), *self._silence(run), *self._damage()]
        self._last = Sight(
            self.folder,
            title_of_run(run),
            run.status,
            alarms,
            self._warnings(run),
            _numbers(run, newest),
            self._progress(run, newest),
            self._families,
            _levels(run),
            shown_figures(self.folder),
        )
        return self._last

    def _draw(self, changed: bool, goes_on: bool) -> None:
        """Sorts records into curves; very many of them seldom: training needs the processor."""
        self._is_stale |= changed
        began = time.monotonic()
        if not self._is_stale or (goes_on and began < self._due):
            return
        self._families = curves_by_family(self._growing.records)
        self._is_stale, seconds = False, time.monotonic() - began
        self._due = began + seconds * TIMES_AS_RARE if seconds > QUICK else began

    def _gone(self) -> Sight:
        alarm = f"the folder is gone: {self.folder.absolute()}"
        self._growing = GrowingRecords(self.folder)
        self._is_stale, self._due = True, 0.0
        if self._last is None:
            return Sight(self.folder, self.folder.name, GONE, [alarm], [], [], None, {}, {})
        last = self._last
        return Sight(
            self.folder,
            last.title,
            GONE,
            [alarm],
            last.warnings,
            last.numbers,
            last.progress,
            last.families,
            last.levels,
        )

    def _warnings(self, run: Summary) -> list[str]:
        """Returns the warnings; log.txt, which grows long, is read only where it has changed."""
        with contextlib.suppress(OSError):
            known = ((self.folder / "log.txt").stat().st_mtime_ns, run.facts.get("data"))
            if known != self._log[0]:
                self._log = (known, warnings_of(run))
            return self._log[1]
        return warnings_of(run)

    def _damage(self) -> list[str]:
        number = self._growing.unreadable
        lines = "a line" if number == 1 else f"{number} lines"
        return [f"{lines} of metrics.jsonl cannot be read"] if number else []

    def _silence(self, run: Summary) -> list[str]:
        """Says that a run records nothing though it works; another machine's clock is not read."""
        changed, started = self._growing.changed, run.facts.get("started")
        on_this_machine = run.facts.get("host") == HOST
        if run.status != "running" or not on_this_machine or changed is None or started is None:
            return []
        usual = max(0.0, changed - started) / max(1, len(self._growing.records))
        silent = time.time() - changed
        if silent < max(SILENT_AFTER, TIMES_AS_LONG * usual):
            return []
        return [f"nothing was recorded for {duration(silent)}; before, every {duration(usual)}"]

    def _progress(self, run: Summary, at: Mapping[str, Any]) -> Progress | None:
        if "step" not in at:
            return None
        phase, step = str(at.get("phase", "")), int(at["step"])
        planned = run.facts.get("derived", {}).get("num_steps")
        known = isinstance(planned, int) and 0 < step <= planned
        left = self._speed.seconds_left(phase, step, planned) if known else None
        is_running = run.status == "running"
        return Progress(
            phase, step, at.get("epoch"), planned if known else None, left if is_running else None
        )


class Speed:
    """Estimates the time left from when new steps were seen."""

    def __init__(self) -> None:
        self._phase, self._step = "", -1
        self._first: tuple[float, int] | None = None
        self._newest = (0.0, -1)

    def seconds_left(self, phase: str, step: int, num_steps: int) -> float | None:
        """Returns the seconds until `num_steps`; None until two new steps were seen."""
        now = time.monotonic()
        if phase != self._phase or step < self._step:  # another phase, or resumed from before
            self._phase, self._first = phase, None
        elif step > self._step:
            self._first = self._first or (now, step)
            self._newest = (now, step)
        self._step = step
        if self._first is None or self._newest[1] == self._first[1]:
            return None
        (began, first), (at, newest) = self._first, self._newest
        return max(0.0, (at - began) / (newest - first) * (num_steps - newest) - (now - at))


def _summary(folder: Path) -> Summary:
    try:
        return Summary.of(folder)
    except OSError as reason:
        return Summary(folder, {"status": "damaged", "error": f"run.json: {reason.strerror}"})


def _alarms(run: Summary, newest: Mapping[str, Any]) -> list[str]:
    """Says what is wrong by the run's own facts and its newest records."""
    found = []
    if run.status not in (*RUNNING, "finished"):
        found.append(f"the run {_how_it_ended(run.status)}")
    if run.facts.get("error"):
        found.append(str(run.facts["error"]))
    if newest.get("collapsed") == 1.0:
        found.append("the features are collapsed, as they were measured last")
    return found


def _how_it_ended(status: str) -> str:
    words = {
        "died": "died: no process works on it",
        "interrupted": "was interrupted; it can be resumed",
        "failed": "failed",
        "refused": "was refused",
        "damaged": "cannot be read",
    }
    return words.get(status, f"is {status}")


def _numbers(run: Summary, newest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the numbers to be shown large; of a run that goes on, without its time so far.

    run.json has that as it was at the last checkpoint.
    """
    if run.status not in RUNNING:
        return headlines(run, run.metrics or newest_numbers([newest]))
    facts = {name: value for name, value in run.facts.items() if name != "seconds"}
    shown = headlines(Summary(run.folder, facts), newest_numbers([newest]))
    speed = newest.get("timing", {}).get("images_per_second")
    return [*shown, ("images per second", f"{speed:,.0f}")] if is_number(speed) else shown


def _levels(run: Summary) -> dict[str, float]:
    levels = run.facts.get("derived", {}).get("normal_loss")
    if not isinstance(levels, dict):
        return {}
    return {
        str(name): level
        for name, level in levels.items()
        if isinstance(level, (int, float)) and math.isfinite(level)
    }


def shown_figures(folder: Path) -> dict[str, Path]:
    """Returns the run's pictures by their path below its folder, but those that are live."""
    found = figures_of(folder).items()
    return {name: path for name, path in found if path.stem not in REDRAWN}
