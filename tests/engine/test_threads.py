"""How many threads a run uses beside other work, and what it says when it slows down."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import Onlooker

from sslcli.engine import threads
from sslcli.engine.runs_here import runs_here
from sslcli.engine.slowdown import SlowdownAlarm
from sslcli.engine.threads import Cores, Threads, choose_threads


@pytest.mark.parametrize(
    ("allowed", "busy", "free"),
    [(2, 0.0, 2), (2, 0.3, 2), (2, 0.9, 1), (2, 1.0, 1), (2, 2.0, 1), (8, 2.5, 5), (1, 0.0, 1)],
)
def test_a_core_that_others_use_is_not_free(allowed: int, busy: float, free: int) -> None:
    assert Cores(allowed, busy).free == free


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[float], None]:
    """Pretends that there are two cores, no launcher, and no run of this user; sets the busy cores."""
    for name in threads.LAUNCHER_CHOSE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))

    def busy(cores: float) -> None:
        monkeypatch.setattr(threads, "measure_cores", lambda: Cores(2, cores))

    return busy


def test_beside_other_work_there_is_a_thread_fewer_and_it_is_said(
    two_cores: Callable[[float], None],
) -> None:
    two_cores(0.1)
    assert choose_threads() == Threads(2, open=True)
    two_cores(1.0)
    chosen = choose_threads()
    assert chosen.number == 1
    assert "other work keeps 1.0 of 2 cores busy: 1 thread" in str(chosen.reason)
    assert not chosen.open


def test_jobs_that_run_at_once_divide_the_cores(two_cores: Callable[[float], None]) -> None:
    two_cores(0.0)
    chosen = choose_threads(at_once=2)
    assert chosen.number == 1
    assert "2 runs divide 2 cores" in str(chosen.reason)


HOLD = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from sslcli.engine.runs_here import runs_here
print(runs_here(), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_runs_of_two_processes_see_each_other_until_one_is_killed(
    two_cores: Callable[[float], None], tmp_path: Path
) -> None:
    two_cores(0.0)
    assert choose_threads().number == 2
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "2\n"
        assert choose_threads().number == 1
        other.kill()
    assert choose_threads().number == 2


def test_folders_of_processes_that_ended_are_deleted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    assert runs_here() == 1
    (folder,) = tmp_path.iterdir()
    for name in ("old", "new"):
        (folder / name).mkdir()
        (folder / name / ".lock").touch()
    os.utime(folder / "old", (0, 0))
    assert runs_here() == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(["new", str(os.getpid())])


def test_a_temporary_folder_that_cannot_be_used_counts_this_run_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert runs_here() == 1


def test_a_folder_that_is_a_link_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Anybody may put one into the system's temporary folder; nothing is deleted behind it."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "run").mkdir(parents=True)
    (elsewhere / "run/.lock").touch()
    os.utime(elsewhere / "run", (0, 0))
    (tmp_path / f"sslcli-{os.getuid()}").symlink_to(elsewhere)
    assert runs_here() == 1
    assert [path.name for path in elsewhere.iterdir()] == ["run"]


def test_a_user_without_a_name_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container that is started with a number."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert runs_here() == 1


def test_what_a_launcher_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(threads, "measure_cores", lambda: Cores(8, 7.0))
    assert choose_threads(at_once=4) == Threads(torch.get_num_threads())


def record(speed: float) -> dict[str, Any]:
    return {"step": 1, "loss": 1.0, "timing": {"images_per_second": speed}}


def test_a_run_that_falls_below_a_third_says_so_once() -> None:
    said: list[str] = []
    listener = Onlooker()
    alarm = SlowdownAlarm(listener, said.append)
    for speed in (1000, 1000, 900, 400, 320, 100, 50):
        alarm.record(record(speed))
        alarm.step(1)
    assert len(said) == 1
    assert said[0].startswith("100 images/s, 900 before")
    assert "runtime.threads=1" in said[0]
    assert len(listener.records) == 7


def test_slow_first_records_and_evaluations_are_no_slowdown() -> None:
    said: list[str] = []
    alarm = SlowdownAlarm(Onlooker(), said.append)
    for speed in (1000, 10, 20):
        alarm.record(record(speed))
    alarm.record({"step": 3, "timing": {"seconds": 0.1}})
    assert not said
