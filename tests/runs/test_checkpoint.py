"""Checkpoints: what is damage and what is not, and how a run steps back from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from doubles import make_run

from sslcli.errors import RunFailed
from sslcli.runs.checkpoint import Phase, read_checkpoint, step_back
from sslcli.runs.folder import Run


def trained(folder: Path, name: str, steps: int, finished: bool) -> None:
    """Trains a phase of two checkpoints, with a record before each."""
    with Run(folder) as run:
        phase = Phase(run, name, 2, 0)
        phase.restore()
        for step in range(1, steps + 1):
            run.record({"phase": name, "step": step})
            phase.save(step, {"step": step}, finished and step == steps)


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of the records and of all checkpoints."""
    kept = [folder / "metrics.jsonl", *folder.rglob("*.pt")]
    return {str(path): path.read_bytes() for path in kept}


@pytest.mark.parametrize(
    "reason",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    ],
)
def test_too_little_memory_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    folder = make_run(tmp_path / "run")
    trained(folder, "one", 3, False)
    before = contents(folder)

    def fail(*_: object, **__: object) -> None:
        raise reason

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(RunFailed, match=r"memory ran out while .*last\.pt was read"):
        read_checkpoint(folder / "one/last.pt")
    with Run(folder) as run, pytest.raises(RunFailed, match="memory ran out"):
        step_back(run)
    assert contents(folder) == before
