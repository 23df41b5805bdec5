"""Whatever happens to a run, what is resumed ends with the bytes it would have ended with."""

from __future__ import annotations

import json
import os
import pty
import random
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import TINY, Outcome, Sslcli, facts, only_run, records
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from sslcli.cli.main import main
from sslcli.console import TrainingBar, TrainingLines
from sslcli.errors import SslcliError
from sslcli.experiments import pretrain
from sslcli.runs.checkpoint import read_checkpoint
from sslcli.runs.folder import Run
from sslcli.runs.results import read_results

WORDS = ["pretrain", *TINY, "epochs=3", "log_every=1", "save_every=0.5", "knn_every=0"]
"""12 steps, a checkpoint after every second."""


def forked(words: list[str], fault: Callable[[], None] = lambda: None) -> int:
    """The exit status of a process of its own that runs a command line, after `fault` was arranged in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks
        child = os.fork()
    if child == 0:
        status = 99
        try:
            GlobalHydra.instance().clear()
            fault()
            main(words)
        except SystemExit as left:
            status = int(left.code or 0)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(step: int, number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    def arrange() -> None:
        real = TrainingLines.step

        def told(self: TrainingLines, done: int) -> None:
            real(self, done)
            if done == step:
                os.kill(os.getpid(), number)

        TrainingLines.step = told  # type: ignore[method-assign]

    return arrange


def in_outputs(words: list[str], outputs: Path) -> list[str]:
    return [*words, f"runtime.outputs={outputs}"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module", autouse=True)
def no_curves() -> Iterator[None]:
    """The one slow part of these runs that no byte of records and weights depends on."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(pretrain, "save_curves", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed before its first step."""

    def arrange() -> None:
        pretrain.run = lambda *_: die()  # type: ignore[assignment]

    outputs = tmp_path_factory.mktemp("begun")
    assert forked(in_outputs(WORDS, outputs), arrange) == -signal.SIGKILL
    return only_run(outputs)


@pytest.fixture(scope="module")
def whole(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, gone on with and nothing happened to it; beside it stands how many durable operations that took."""
    run = Path(shutil.copytree(begun, tmp_path_factory.mktemp("whole") / "run"))

    def note(number: int) -> None:
        (run.parent / "operations").write_text(str(number))

    with pytest.MonkeyPatch.context() as patches, pytest.raises(SystemExit) as left:
        counted(note, patches)()
        main(
            ["resume", str(run)]
        )  # in this process: what is imported now, those forked later need not import
    assert not left.value.code
    return run


@pytest.fixture(scope="module")
def killed_once(begun: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Path(shutil.copytree(begun, tmp_path_factory.mktemp("killed") / "run"))
    assert forked(["resume", str(run)], killed_after(7)) == -signal.SIGKILL
    return run


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """A copy of the run that was killed after step 7; its newest checkpoints are of the steps 6 and 4."""
    return Path(shutil.copytree(killed_once, tmp_path / "killed"))


def require_same(run: Path, expected: Path, what: object = "") -> None:
    assert facts(run)["status"] == "finished", what
    assert records(run) == records(expected), what
    assert (run / "encoder.safetensors").read_bytes() == (
        expected / "encoder.safetensors"
    ).read_bytes(), what


def require_two_lines(outcome: Outcome, *words: str) -> str:
    """Checks the error; returns the fix."""
    error, fix = outcome.err.strip().splitlines()[-2:]
    assert error.startswith("error: ")
    assert fix.startswith("fix: ")
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in error
    return fix


DURABLE = ((os, "fsync"), (os, "link"), (Path, "replace"), (Path, "unlink"))


def counted(
    strike: Callable[[int], None], patches: pytest.MonkeyPatch | None = None
) -> Callable[[], None]:
    """Tells `strike` of every operation by which something becomes durable, with its number, before it is done."""

    def arrange() -> None:
        count = 0
        for owner, name in DURABLE:
            real = getattr(owner, name)

            def counting(*given: Any, _real: Any = real, **named: Any) -> Any:
                nonlocal count
                count += 1
                strike(count)
                return _real(*given, **named)

            (patches or pytest.MonkeyPatch()).setattr(owner, name, counting)

    return arrange


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

        def half(content: dict[str, Any], path: Path) -> None:
            real(content, path)
            if content["step"] == 10:
                path.write_bytes(path.read_bytes()[:-1000])
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
    monkeypatch.setattr(torch, "save", lambda content, _: real(content, Path("/dev/full")))
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


def damaged(content: bytes, how: str) -> bytes:
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    return {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "zeros": bytes(len(content)),
        "a flipped bit": bytes(flipped),
    }[how]


@pytest.mark.parametrize(
    ("how", "before"),
    [("truncated", True), ("empty", False), ("zeros", True), ("a flipped bit", True)],
)
def test_a_damaged_checkpoint(
    sslcli: Sslcli, whole: Path, killed: Path, how: str, before: bool
) -> None:
    """The one before it is offered by a command that works; where there is none, the phase's beginning."""
    last = killed / "pretrain/last.pt"
    last.write_bytes(damaged(last.read_bytes(), how))
    if not before:
        (killed / "pretrain/step-00000004.pt").unlink()
    outcome = sslcli("resume", str(killed))
    assert outcome.status == 2
    fix = require_two_lines(outcome, f"{last} cannot be read")
    offered = shlex.split(fix.partition("sslcli ")[2])
    assert offered == ["resume", str(killed), "--from-previous"]
    outcome = sslcli(*offered)
    assert outcome.status == 0, outcome.err
    assert ("pretrain goes on from step 4" if before else "pretrain begins anew") in outcome.out
    require_same(killed, whole)


def test_stepping_back_needs_a_reason(sslcli: Sslcli, killed: Path) -> None:
    checkpoint = (killed / "pretrain/last.pt").read_bytes()
    outcome = sslcli("resume", str(killed), "--from-previous")
    assert outcome.status == 2
    assert f"sslcli resume {killed}" in require_two_lines(outcome, "nothing to step back from")
    torch.save({"format": 1}, killed / "pretrain/last.pt")
    outcome = sslcli("resume", str(killed), "--from-previous")
    require_two_lines(outcome, "checkpoint format 1")
    assert (killed / "pretrain/step-00000004.pt").exists(), "another version's is not damaged"
    assert checkpoint


def test_every_flipped_bit_is_noticed_or_changes_nothing(killed: Path) -> None:
    last = killed / "pretrain/last.pt"
    content = last.read_bytes()
    expected = read_checkpoint(last)
    rng = random.Random(0)
    noticed = 0
    for position in [
        *rng.choices(range(len(content)), k=60),
        *range(len(content) - 60, len(content), 3),
    ]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.randrange(8)
        last.write_bytes(flipped)
        try:
            assert same(read_checkpoint(last), expected), position
        except SslcliError:
            noticed += 1
    assert noticed > 30


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


STACK = [
    "stack-pretrain", "data.limit=48", "encoder=sigmoid_mlp", "encoder.widths=[8,6]", "epochs=[2]", "batch_size=16",
    "finetune.epochs=2", "compare=[autoencoder,denoising]", "log_every=1", "save_every=1", "runtime.threads=1",
]  # fmt: skip


def test_a_damaged_checkpoint_in_the_middle_of_a_stack(sslcli: Sslcli, tmp_path: Path) -> None:
    """The phases before it stay as they are; it and those after it are trained again, to the same bytes."""
    assert forked(in_outputs(STACK, tmp_path / "whole")) == 0
    expected = only_run(tmp_path / "whole")
    run = Path(shutil.copytree(expected, tmp_path / "damaged"))
    before, broken = (run / f"autoencoder-0/{phase}/last.pt" for phase in ("layer-1", "layer-2"))
    stamp = before.stat().st_mtime_ns
    broken.write_bytes(b"")
    outcome = sslcli("resume", str(run), "--from-previous")
    assert outcome.status == 0, outcome.err
    assert "autoencoder-0/layer-2 begins anew" in outcome.out
    assert "denoising-0/layer-1 begins anew" in outcome.out
    assert "autoencoder-0/layer-1" not in outcome.out
    assert before.stat().st_mtime_ns == stamp
    require_same(run, expected)
    assert read_results(run).rows == read_results(expected).rows


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(40):
        folder = tmp_path / "photos" / str(index % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
            folder / f"{index}.png"
        )
    return tmp_path / "photos"


def test_data_that_changed(sslcli: Sslcli, photos: Path, tmp_path: Path) -> None:
    words = [word for word in WORDS if not word.startswith("data.")]
    words += ["data=folder", f"data.root={photos}", "data.resolution=16", "batch_size=8"]
    assert forked(in_outputs(words, tmp_path / "outputs"), killed_after(7)) == -signal.SIGKILL
    run = only_run(tmp_path / "outputs")
    before = facts(run)["data"]["fingerprint"]
    shutil.copy(photos / "0/0.png", photos / "1/0.png")

    outcome = sslcli("resume", str(run))
    assert outcome.status == 2
    fix = require_two_lines(outcome, "the data changed since the run began", before)
    assert facts(run)["data"]["fingerprint"] == before
    outcome = sslcli(*shlex.split(fix.partition("sslcli ")[2]))
    assert outcome.status == 0, outcome.err
    found = facts(run)
    assert found["status"] == "finished"
    assert found["data"]["fingerprint"] != before
    assert found["data_before"] == [{"fingerprint": before, "until_step": 6}]

    (run / "run.json").write_text(json.dumps({**found, "status": "interrupted"}))
    (photos / "1/0.png").unlink()
    require_two_lines(
        sslcli("resume", str(run)), "the data changed"
    )  # allowed once is not allowed for ever


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


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pretrain", "linear-eval", "export"])
def test_the_campaign_of_faults(command: str) -> None:
    """Two kills and nine refusals of a command; benchmarks.faults does it for all, eight kills each."""
    root = Path(__file__).parents[2]
    words = [sys.executable, "-m", "benchmarks.faults", "--kills", "2", "--only", command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
