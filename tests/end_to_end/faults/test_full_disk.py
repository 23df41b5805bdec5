"""A disk or memory that runs out is two lines, and the run goes on from its last checkpoint."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import Sslcli, require_two_lines
from forks import require_same

from sslcli.experiments import pretrain
from sslcli.runs.folder import Run


class Disk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def mount(self, options: str) -> bool:
        return (
            subprocess.run(
                ["mount", "-o", options, "-t", "tmpfs", "tmpfs", self.folder], capture_output=True
            ).returncode
            == 0
        )

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (2**16, 2**10, 1):
                try:
                    while True:
                        file.write(b"." * size)
                except OSError:
                    continue

    def clear(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    made.folder.mkdir()
    if not made.mount("size=16m"):
        pytest.skip("only root may mount a file system")
    yield made
    subprocess.run(["umount", "-l", made.folder], check=True)


@pytest.mark.parametrize("what", ["the checkpoint", "the records", "run.json", "the encoder"])
def test_a_full_disk(
    sslcli: Sslcli,
    whole: Path,
    killed: Path,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    owner, name = {
        "the checkpoint": (torch, "save"),
        "the records": (Run, "record"),
        "run.json": (Run, "update"),
        "the encoder": (pretrain, "write_encoder"),
    }[what]
    real, calls = getattr(owner, name), []

    def then_full(*given: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == (1 if name == "write_encoder" else 3):
            disk.fill()
        return real(*given, **named)

    run = Path(shutil.copytree(killed, disk.folder / "run"))
    monkeypatch.setattr(owner, name, then_full)
    outcome = sslcli("resume", str(run))
    assert outcome.status == 1
    fix = require_two_lines(outcome)
    assert f"sslcli resume {run}" in fix, "and the command that goes on"
    monkeypatch.setattr(owner, name, real)
    disk.clear()
    outcome = sslcli("resume", str(run))
    assert outcome.status == 0, outcome.err
    require_same(run, whole)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_without_one(
    sslcli: Sslcli, whole: Path, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.save

    def to_a_full_one(content: object, _: object) -> None:
        with Path("/dev/full").open("wb") as file:
            real(content, file)

    monkeypatch.setattr(torch, "save", to_a_full_one)
    outcome = sslcli("resume", str(killed))
    assert outcome.status == 1
    fix = require_two_lines(outcome, "the checkpoint of step 8 could not be written")
    monkeypatch.setattr(torch, "save", real)
    assert sslcli(*shlex.split(fix.partition("sslcli ")[2])).status == 0
    require_same(killed, whole)


def test_a_read_only_folder(sslcli: Sslcli, whole: Path, killed: Path, disk: Disk) -> None:
    run = Path(shutil.copytree(killed, disk.folder / "run"))
    assert disk.mount("remount,ro")
    outcome = sslcli("resume", str(run))
    assert outcome.status == 1
    require_two_lines(outcome, "Read-only file system", str(run))
    require_two_lines(sslcli("resume", str(run), "--allow-changed-data"), "Read-only file system")
    assert "died" in sslcli("runs", str(disk.folder)).out
    assert disk.mount("remount,rw")
    assert sslcli("resume", str(run)).status == 0
    require_same(run, whole)


@pytest.mark.parametrize(
    "reason",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …")],
    ids=["python", "torch"],
)
def test_memory_that_runs_out_is_two_lines_and_the_run_goes_on(
    sslcli: Sslcli, killed: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    def fail(*_: object) -> None:
        raise reason

    with monkeypatch.context() as patched:
        patched.setattr(pretrain, "run", fail)
        outcome = sslcli("resume", str(killed))
    assert outcome.status == 1
    fix = require_two_lines(outcome, "memory ran out")
    assert f"sslcli resume {killed}" in fix
    assert sslcli("resume", str(killed)).status == 0
    require_same(killed, whole)
