"""How many threads a run uses beside other work, and what it says when it slows down."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from doubles import Onlooker

from sslcli.engine import threads
from sslcli.engine.slowdown import SlowdownAlarm
from sslcli.engine.threads import Cores, choose_threads


@pytest.mark.parametrize(
    ("allowed", "busy", "free"),
    [(2, 0.0, 2), (2, 0.3, 2), (2, 0.9, 1), (2, 1.0, 1), (2, 2.0, 1), (8, 2.5, 5), (1, 0.0, 1)],
)
def test_a_core_that_others_use_is_not_free(allowed: int, busy: float, free: int) -> None:
    assert Cores(allowed, busy).free == free


def test_beside_other_work_there_is_a_thread_fewer_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in threads.LAUNCHER_CHOSE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(threads, "measure_cores", lambda: Cores(2, 0.1))
    assert choose_threads() == (2, None)
    monkeypatch.setattr(threads, "measure_cores", lambda: Cores(2, 1.0))
    number, reason = choose_threads()
    assert number == 1
    assert reason is not None
    assert "other work keeps 1.0 of 2 cores busy: 1 thread" in reason


def test_what_a_launcher_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(threads, "measure_cores", lambda: Cores(8, 7.0))
    assert choose_threads() == (torch.get_num_threads(), None)


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
