"""Whatever stops a run, what is resumed ends with the bytes it would have ended with."""

from __future__ import annotations

import os
import pty
import random
import select
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from doubles import Sslcli, facts, require_two_lines
from forks import counted, die, forked, killed_after, require_same

from sslcli.console import TrainingBar, TrainingLines


def test_killed_between_any_two_durable_operations(
    begun: Path, whole: Path, tmp_path: Path
) -> None:
    last = int((whole.parent / "operations").read_text())
    for moment in random.Random(0).sample(range(1, last + 1), 3):

        def strike(number: int, moment: int = moment) -> None:
            if number == moment:
                die()

        run = Path(shutil.copytree(begun, tmp_path / str(moment)))
        assert forked(["resume", str(run)], counted(strike)) == -signal.SIGKILL, moment
        if facts(run)["status"] != "finished":
            assert forked(["resume", str(run)]) == 0, moment
        require_same(run, whole, f"killed before operation {moment} of {last}")


def test_killed_inside_the_checkpoints_write(whole: Path, killed: Path) -> None:
    def arrange() -> None:
        real = torch.save

        def half(content: dict[str, Any], file: BinaryIO) -> None:
            real(content, file)
            if content["step"] == 10:
                file.truncate(file.tell() - 1000)
                file.flush()
                die()

        torch.save = half

    assert forked(["resume", str(killed)], arrange) == -signal.SIGKILL
    torn = list(killed.rglob(".*.tmp"))
    assert len(torn) == 1
    assert forked(["resume", str(killed)]) == 0
    require_same(killed, whole)
    assert not list(killed.rglob(".*.tmp")), "what was left half-written is gone"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_by_a_signal(
    whole: Path, killed: Path, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    assert forked(["resume", str(killed)], killed_after(9, number)) == 128 + number
    error, fix = capfd.readouterr().err.strip().splitlines()[-2:]
    assert "everything is saved" in error
    assert fix == f"fix:   go on: sslcli resume {killed}"
    assert facts(killed)["status"] == "interrupted"
    assert facts(killed)["step"] == 9, "saved where it stood"
    assert forked(["resume", str(killed)]) == 0
    require_same(killed, whole)


def on_a_terminal_that_is_closed(words: list[str], at: Path) -> None:
    """A command line in a terminal of its own, which is closed when the file `at` is there."""
    child, terminal = pty.fork()
    if child == 0:
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")  # not pytest's
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # pytest may run under nohup
        os._exit(forked(words, waits_for_the_end_of_its_terminal(9, at)) & 0xFF)
    while not at.exists():
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 4096)
    os.close(terminal)
    os.waitpid(child, 0)


def waits_for_the_end_of_its_terminal(step: int, told_by: Path) -> Callable[[], None]:
    def arrange() -> None:
        real = TrainingBar.step

        def told(self: TrainingBar, done: int) -> None:
            real(self, done)
            if done == step:
                told_by.touch()
                while os.isatty(0):
                    time.sleep(0.01)
                # The system tells this process only when the session's first one has died of it.
                time.sleep(0.5)

        TrainingBar.step = told  # type: ignore[method-assign]

    return arrange


def test_a_terminal_that_is_closed_stops_the_run_saved(
    whole: Path, killed: Path, tmp_path: Path
) -> None:
    on_a_terminal_that_is_closed(["resume", str(killed)], tmp_path / "now")
    until = time.monotonic() + 30
    while facts(killed)["status"] == "running" and time.monotonic() < until:
        time.sleep(0.05)
    assert facts(killed)["status"] == "interrupted"
    assert 9 <= facts(killed)["step"] < 12, "saved where it stood when the signal came"
    assert forked(["resume", str(killed)]) == 0
    require_same(killed, whole)


def test_two_processes_on_one_run(
    sslcli: Sslcli, whole: Path, killed: Path, tmp_path: Path
) -> None:
    """The second is refused, and the first does not notice."""
    go_on, reached = tmp_path / "go on", tmp_path / "reached"

    def arrange() -> None:
        real = TrainingLines.step

        def told(self: TrainingLines, done: int) -> None:
            real(self, done)
            if done == 9:
                reached.touch()
                while not go_on.exists():
                    time.sleep(0.01)

        TrainingLines.step = told  # type: ignore[method-assign]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = os.fork()
    if first == 0:
        os._exit(forked(["resume", str(killed)], arrange))
    try:
        for _ in range(3000):
            if reached.exists():
                break
            time.sleep(0.01)
        for words in ([], ["--allow-changed-data"], ["--from-previous"]):
            outcome = sslcli("resume", str(killed), *words)
            assert outcome.status == 2
            require_two_lines(outcome, "another process is working on")
    finally:
        go_on.touch()
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 0
    require_same(killed, whole)
    assert "data_before" not in facts(killed)


def test_the_clock_goes_back(
    sslcli: Sslcli, whole: Path, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a day before the resume, and by a second every time it is read."""
    start, readings = facts(killed)["started"] - 86_400, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: start - next(readings))
    outcome = sslcli("resume", str(killed))
    assert outcome.status == 0, outcome.err
    require_same(killed, whole)
    assert facts(killed)["seconds"] >= 0
    assert "finished" in sslcli("runs", str(killed.parent)).out


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pretrain", "linear-eval", "export"])
def test_the_campaign_of_faults(command: str) -> None:
    """Two kills and nine refusals of a command; benchmarks.faults does it for all, eight kills each."""
    root = Path(__file__).parents[3]
    words = [sys.executable, "-m", "benchmarks.faults", "--kills", "2", "--only", command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
