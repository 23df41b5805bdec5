"""A pipe whose reader has ended: the run behind it stops and saves, as in a closed terminal."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from doubles import facts, make_run

from sslcli.console import Console
from sslcli.engine.signals import stop_requests
from sslcli.errors import Interrupted
from sslcli.jobs.job import _run
from sslcli.runs.folder import Run

pytestmark = pytest.mark.usefixtures("hangup")


@pytest.fixture
def closed() -> Iterator[IO[str]]:
    """A stream to a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:  # noqa: PTH123
        yield stream


def test_it_is_a_request_to_stop(closed: IO[str]) -> None:
    """What is said after it, while the run saves, is said to nobody."""
    console = Console(closed, io.StringIO())
    with stop_requests() as request:
        console.say("first")
        console.say("second")
    assert request.signal_number == signal.SIGHUP


def test_where_no_run_is_stopped_it_is_an_error_as_before(closed: IO[str]) -> None:
    with pytest.raises(BrokenPipeError):
        Console(closed, io.StringIO()).say("a table of runs")


def end(run: Run, work: Callable[[Run, Console], None], stream: IO[str]) -> None:
    def load_work() -> Any:
        return SimpleNamespace(run=lambda config, run, console: work(run, console))

    _run(load_work, None, run, Console(stream, io.StringIO()))


def test_a_run_is_interrupted(tmp_path: Path, closed: IO[str]) -> None:
    folder = make_run(tmp_path / "run", status="running")
    with Run(folder) as run, pytest.raises(Interrupted, match="stopped by signal 1"):
        end(run, lambda _, console: console.say("text"), closed)
    assert facts(folder)["status"] == "interrupted"


def test_a_finished_run_stays_so(tmp_path: Path, closed: IO[str]) -> None:
    """The command ends quietly, as every other that writes into a closed pipe."""
    folder = make_run(tmp_path / "run", status="running")

    def work(run: Run, console: Console) -> None:
        run.finish({"a": 1.0}, None)
        console.say("run: …")

    with Run(folder) as run, pytest.raises(BrokenPipeError):
        end(run, work, closed)
    assert facts(folder)["status"] == "finished"
