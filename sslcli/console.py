"""Prints results, progress, tables and errors; the only module that uses rich.

A terminal shows a moving bar; a file or pipe gets plain lines, few enough for a log.
"""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from rich.console import Console as RichConsole
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from sslcli.errors import SslcliError
from sslcli.terminal import hung_up, open_stream
from sslcli.text import duration, printable

T = TypeVar("T")

LAYOUT = "\n\t"
"""Control characters that are printed as they are."""
LINE_EVERY = 10.0
"""Seconds between two progress lines without a terminal."""
STATUS_STYLES = {"running": "bold", "failed": "red", "refused": "red", "finished": "green"}


class JobState(NamedTuple):
    """Holds a sweep's job as it is shown.

    `what`: the overrides in which it differs from the other jobs; `newest`: its last loss, its
    result or its error.
    """

    name: str
    what: str
    status: str
    progress: str
    newest: str
    time: str


class Console:
    """Prints results to standard output; progress, warnings, errors to standard error."""

    def __init__(self, output: IO[str] | None = None, errors: IO[str] | None = None) -> None:
        self._output = _plain_console(output or sys.stdout)
        if not self._output.is_terminal:  # a pipe has no width: nothing is cut off
            self._output.width = 10_000
        self._errors = _plain_console(errors or sys.stderr)
        self._log: IO[str] | None = None

    @contextlib.contextmanager
    def logged(self, path: Path) -> Iterator[None]:
        """Appends messages, warnings and progress lines to the file too, while inside."""
        with path.open("a", encoding="utf-8") as self._log:
            try:
                yield
            finally:
                self._log = None

    def say(self, text: str) -> None:
        """Prints a message to standard output."""
        self._output.print(_escaped(text))
        self._note(text)

    def warn(self, text: str) -> None:
        """Prints a warning to standard error."""
        self._errors.print(_after("warning:", "yellow", text))
        self._note(f"warning: {text}")

    def _note(self, text: str) -> None:
        if self._log is not None:
            now = f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}"
            self._log.write(f"{now} {printable(text, kept=LAYOUT)}\n")
            self._log.flush()

    def _progress_line(self, text: str) -> None:
        if not self._errors.is_terminal:
            self._errors.print(_escaped(text))
        self._note(text)

    def error(self, error: SslcliError) -> None:
        """Prints an error and its fix in two lines."""
        self._errors.print(_after("error:", "bold red", error.message))
        self._errors.print(_after("fix:  ", "bold", error.fix))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Prints a table: its first column is text, the others are numbers."""
        table = Table(box=None, pad_edge=False, title_justify="left", header_style="bold")
        table.title = _escaped(title) or None
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(_escaped(cell) for cell in row))
        self._output.print(table)

    def columns(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        """Prints two columns of text under a heading; the second one wraps."""
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(max_width=90)
        for left, right in rows:
            table.add_row(f"  {_escaped(left)}", _escaped(right))
        self._output.print(_escaped(title), style="bold")
        self._output.print(table)
        self._output.print()

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
        """Yields the items, and shows how many of `total` are done."""
        if total:
            self._progress_line(label)
        with self._progress() as progress:
            task = progress.add_task(_escaped(label), total=total, note="")
            for item in items:
                yield item
                progress.advance(task)

    @contextlib.contextmanager
    def training(self, label: str, num_steps: int) -> Iterator[TrainingWatch]:
        """Shows the progress of a training of `num_steps`; yields what listens to it."""
        lines = TrainingLines(self._progress_line, label, num_steps)
        if not self._errors.is_terminal:
            yield lines
            return
        with self._progress() as progress:
            yield TrainingBar(progress, label, num_steps, lines)

    @contextlib.contextmanager
    def jobs(self) -> Iterator[Callable[[Sequence[JobState]], None]]:
        """Shows the jobs of a sweep; yields the function to call with their newest states."""
        if not self._errors.is_terminal:
            yield JobLines(self._progress_line).show
            return
        with Live(console=self._errors, auto_refresh=False, transient=True) as live:
            yield lambda jobs: live.update(_job_table(jobs, self._errors.height - 4), refresh=True)

    def _progress(self) -> Progress:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        return Progress(
            *columns, console=self._errors, transient=True, disable=not self._errors.is_terminal
        )


class TrainingBar:
    """Shows a moving bar with the newest loss, speed and time left."""

    def __init__(
        self, progress: Progress, label: str, num_steps: int, lines: TrainingLines
    ) -> None:
        self._progress = progress
        self._lines = lines
        self._task = progress.add_task(_escaped(label), total=num_steps, note="")

    def step(self, done: int) -> None:
        self._progress.update(self._task, completed=done)
        self._lines.step(done)

    def record(self, record: dict[str, Any]) -> None:
        self._lines.record(record)
        if "loss" in record:
            self._progress.update(self._task, note=_summary(record))
        else:
            text = f"epoch {record['epoch']:g}: {_measured(record)}"
            self._progress.console.print(_escaped(text))


class TrainingLines:
    """Writes a line every LINE_EVERY seconds, and one for every evaluation."""

    def __init__(self, write: Callable[[str], None], label: str, num_steps: int) -> None:
        self._write, self._label, self._num_steps = write, label, num_steps
        self._first: tuple[int, float] | None = None
        self._last_line = float("-inf")
        self._done = 0

    def step(self, done: int) -> None:
        self._first = self._first or (done, time.monotonic())
        self._done = done

    def record(self, record: dict[str, Any]) -> None:
        now = time.monotonic()
        if "loss" not in record:
            self._write(f"{self._label}: epoch {record['epoch']:g}: {_measured(record)}")
        elif now - self._last_line >= LINE_EVERY or self._done == self._num_steps:
            self._last_line = now
            position = f"step {record['step']}/{self._num_steps}, epoch {record['epoch']:.2f}"
            self._write(
                f"{self._label}: {position}: {_summary(record)}, {self._time_left(now)} left"
            )

    def _time_left(self, now: float) -> str:
        assert self._first is not None
        first, began = self._first
        if self._done == first:
            return "?"
        return duration((now - began) / (self._done - first) * (self._num_steps - self._done))


TrainingWatch = TrainingBar | TrainingLines


class JobLines:
    """Writes a line when a job starts, and one when it ends."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._known: dict[str, str] = {}

    def show(self, jobs: Sequence[JobState]) -> None:
        for job in jobs:
            before = self._known.get(
                job.name, job.status if job.status in ("waiting", "finished") else ""
            )
            self._known[job.name] = job.status
            # A job that just died is reported once its status becomes `failed`.
            if job.status not in (before, "waiting", "died"):
                details = ", ".join(
                    word for word in (job.time, job.newest) if word and job.status != "running"
                )
                self._write(
                    f"job {job.name} ({job.what}): {job.status}{f': {details}' if details else ''}"
                )


def _job_table(jobs: Sequence[JobState], height: int) -> Table:
    """Returns a table of at most `height` jobs; if not all fit, of unfinished ones."""
    finished = sum(job.status == "finished" for job in jobs)
    shown = (
        jobs if len(jobs) <= height else [job for job in jobs if job.status != "finished"][:height]
    )
    table = Table(
        title=f"{finished} of {len(jobs)} jobs finished",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("job", "", "status", "progress", "newest", "time"):
        table.add_column(
            column, justify="right" if column in ("progress", "time") else "left", no_wrap=True
        )
    for job in shown:
        table.add_row(*map(_escaped, job), style=STATUS_STYLES.get(job.status, ""))
    return table


class _Plain(RichConsole):
    def on_broken_pipe(self) -> None:
        """Stops a run; else raises the BrokenPipeError again, where rich would exit with 1."""
        if not hung_up(self.file.fileno()):
            raise


def _plain_console(stream: IO[str]) -> RichConsole:
    """Returns a console for text as it is: `[b]` is no markup, `:cat:` no picture."""
    return _Plain(
        file=open_stream(stream), highlight=False, soft_wrap=True, markup=False, emoji=False
    )


def _after(heading: str, style: str, text: str) -> Text:
    return Text.assemble((heading, style), " ", _escaped(text))


def _escaped(text: str) -> str:
    """Escapes the terminal's control codes."""
    return printable(text, kept=LAYOUT)


def _summary(record: dict[str, Any]) -> str:
    speed = f"{record['timing']['images_per_second']:.0f} images/s"
    return f"loss {record['loss']:.4g}, lr {record['learning_rate']:.3g}, {speed}"


def _measured(record: dict[str, Any]) -> str:
    values = {k: v for k, v in record.items() if k not in ("phase", "step", "epoch", "timing")}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
