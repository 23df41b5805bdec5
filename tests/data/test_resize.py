from __future__ import annotations

import threading

import pytest

from sslcli.threads import available_cores, consume, map_in_threads


@pytest.mark.parametrize(
    ("count", "workers", "at_once"), [(16, 4, 4), (3, 4, 3), (1000, 4, 4), (5, 1, 1)]
)
def test_every_thread_gets_some(count: int, workers: int, at_once: int) -> None:
    """All wait for each other: fewer at once would wait in vain."""
    barrier, seen = threading.Barrier(at_once, timeout=20), threading.local()

    def work(index: int) -> int:
        if not hasattr(seen, "begun"):
            seen.begun = True
            barrier.wait()
        return index

    assert list(map_in_threads(work, count, workers)) == list(range(count))


def test_nothing_to_do_is_done() -> None:
    consume(map_in_threads(lambda index: None, 0))


def test_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = available_cores()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert available_cores() == max(1, alone // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert available_cores() == 1
