"""Every command that is shown can be pasted into bash: it names the run or sweep that was meant, whatever its name."""

from __future__ import annotations

import html
import io
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import CPU, double_of, train_in
from pasting import (
    NAMES,
    NOWHERE,
    by_hydra,
    change,
    command_in,
    fix_of,
    is_same,
    pasted,
)
from training import Numbers, OneWeight

from sslcli.console import Console
from sslcli.data.folder import FolderConfig
from sslcli.data.images import Splits
from sslcli.data.sample import FashionSampleConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.experiments import pretrain
from sslcli.experiments.inpaint import Filling
from sslcli.experiments.session import Session, open_session
from sslcli.jobs.job import resume
from sslcli.jobs.sweep import finish_sweep, sweep_lock_and_display
from sslcli.report.frame import Html
from sslcli.runs.checkpoint import Phase, read_checkpoint
from sslcli.runs.diagnostics import read_diagnostics
from sslcli.runs.folder import Run
from sslcli.runs.step_back import step_back
from sslcli.runs.summary import Summary, summaries
from sslcli.tools import rerun
from sslcli.tools.report.run_page import run_report
from sslcli.tools.report.sweep_page import sweep_report
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder

Show = Callable[[Path], str]
"""Lets the product show a command about the folder; returns the text that was shown."""


# Errors of a run


def of_a_finished_run(run: Path) -> str:
    change(run, status="finished")
    return fix_of(resume, run, NOWHERE)


def ending(reason: BaseException) -> Show:
    def show(run: Path) -> str:
        def fail(*_: object) -> None:
            raise reason

        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(pretrain, "run", fail)
            return fix_of(resume, run, NOWHERE)

    return show


def of_a_stopped_loop(run: Path) -> str:
    learner = OneWeight([])
    learner.during = lambda _: signal.raise_signal(signal.SIGTERM)
    return fix_of(train_in, run, learner, Numbers([]), 3)


def of_a_full_disk(run: Path) -> str:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Run(run) as opened, pytest.MonkeyPatch.context() as patches:
        patches.setattr(torch, "save", fail)
        return fix_of(Phase(opened, "pretrain", 1, 0).save, 1, {}, False)


def of_a_damaged_checkpoint(run: Path) -> str:
    (run / "pretrain").mkdir()
    (run / "pretrain/last.pt").write_bytes(b"")
    return fix_of(read_checkpoint, run / "pretrain/last.pt")


def of_no_damaged_checkpoint(run: Path) -> str:
    with Run(run) as opened:
        return fix_of(step_back, opened)


def of_no_encoder(run: Path) -> str:
    (run / "encoder.json").unlink()
    return fix_of(read_encoder, run)


def of_no_weights(run: Path) -> str:
    return fix_of(load_trained, read_encoder(run))


def of_damaged_diagnostics(run: Path) -> str:
    (run / "diagnostics").mkdir()
    (run / "diagnostics/diagnostics.json").write_text("{}")
    return fix_of(read_diagnostics, run)


def of_data_that_are_gone(run: Path) -> str:
    with Run(run) as opened:
        gone = FolderConfig(root="gone")
        return fix_of(open_session, opened, RuntimeConfig(threads=1), gone, NOWHERE)


def of_data_that_changed(run: Path) -> str:
    change(run, data={"fingerprint": "another"})
    with Run(run) as opened:
        now = FashionSampleConfig(limit=20)
        return fix_of(open_session, opened, RuntimeConfig(threads=1), now, NOWHERE)


def of_a_rerun(run: Path) -> str:
    return fix_of(rerun.main, [str(run.absolute())], NOWHERE)


def of_filled_pictures(run: Path) -> str:
    """What `inpaint` prints at its end."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 1, 8, 8, generator=generator)
    hidden = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    hidden[0, 0, 3, 3] = hidden[1, 0, 4, 4] = True
    filled = Filling("test", truth, truth, hidden, {}, "fingerprint")
    output = io.StringIO()
    with Run(run) as opened:
        splits: Any = None
        filled.report(Session(opened, Console(output, io.StringIO()), CPU, splits))
    return next(line for line in output.getvalue().split("\n") if "sslcli restore" in line)


RUNS: dict[str, Show] = {
    "a finished run": of_a_finished_run,
    "Ctrl-C": ending(KeyboardInterrupt()),
    "the system": ending(OSError(28, "No space left on device")),
    "memory": ending(MemoryError()),
    "a signal in the loop": of_a_stopped_loop,
    "a full disk": of_a_full_disk,
    "a damaged checkpoint": of_a_damaged_checkpoint,
    "no damaged checkpoint": of_no_damaged_checkpoint,
    "no encoder": of_no_encoder,
    "no weights": of_no_weights,
    "damaged diagnostics": of_damaged_diagnostics,
    "data that are gone": of_data_that_are_gone,
    "data that changed": of_data_that_changed,
    "rerun": of_a_rerun,
    "inpaint": of_filled_pictures,
}


@pytest.fixture(autouse=True)
def sample_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[int | None, Splits] = {}
    real = FashionSampleConfig.load

    def load(given: dict[str, Any]) -> Splits:
        config = given["self"]
        if config.limit not in kept:
            kept[config.limit] = real(config)
        return kept[config.limit]

    monkeypatch.setattr(FashionSampleConfig, "load", double_of(real, load))


@pytest.mark.parametrize("place", RUNS)
def test_a_fix_names_the_run(make: Callable[[str], Path], place: str) -> None:
    runs = [make(name) for name in NAMES]
    shown = [command_in(RUNS[place](run)) for run in runs]
    assert all("\n" not in line for line in shown)
    for run, (command, path, *_) in zip(runs, pasted(shown), strict=True):
        assert command in {"resume", "rerun", "restore", "diagnose"}
        assert is_same(path, run), (path, run)


# Sweeps


@pytest.fixture
def make_sweep(here: Path) -> Callable[[str, list[str]], Path]:
    def make_sweep(name: str, words: list[str]) -> Path:
        folder = Path(name)
        folder.mkdir()
        told = {"command": "pretrain", "words": words, "planned": [["seed=0"], ["seed=1"]]}
        (folder / "sweep.json").write_text(json.dumps({**told, "cwd": str(here)}))
        return folder

    return make_sweep


def of_jobs_that_are_left(sweep: Path) -> str:
    return fix_of(finish_sweep, sweep, None, NOWHERE)


def of_a_launcher_that_gave_up(sweep: Path) -> str:
    return fix_of(finish_sweep, sweep, "it gave up", NOWHERE)


def of_a_stopped_sweep(sweep: Path) -> str:
    with sweep_lock_and_display(sweep, NOWHERE):
        signal.raise_signal(signal.SIGTERM)
    return fix_of(finish_sweep, sweep, None, NOWHERE)


SWEEPS: dict[str, Show] = {
    "jobs that are left": of_jobs_that_are_left,
    "a launcher that gave up": of_a_launcher_that_gave_up,
    "a stopped sweep": of_a_stopped_sweep,
}


@pytest.mark.parametrize("place", SWEEPS)
def test_a_fix_names_the_sweep(
    make_sweep: Callable[[str, list[str]], Path], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("sslcli.jobs.sweep.POLL", 0.001)
    sweeps = [make_sweep(name, ["seed=0,1"]) for name in NAMES]
    shown = [command_in(SWEEPS[place](sweep)) for sweep in sweeps]
    for sweep, (command, path, *_) in zip(sweeps, pasted(shown), strict=True):
        assert command == "resume"
        assert is_same(path, sweep), (path, sweep)


# Pages


def commands_of(parts: list[Html]) -> list[str]:
    found = re.findall("<pre>(.*?)</pre>", "".join(map(str, parts)), flags=re.DOTALL)
    return [html.unescape(command) for command in found]


def test_the_commands_on_a_runs_page(make: Callable[[str], Path]) -> None:
    for run in map(make, NAMES):
        shown = commands_of(run_report(Summary.of(run))[1])
        assert all("\n" not in line for line in shown)
        told = {command: word for _, command, word in pasted(shown)}
        assert by_hydra(told.pop("linear-eval")) == str(run.absolute())
        assert set(told) == {"resume", "rerun", "diagnose", "embed", "report"}
        assert all(is_same(path, run) for path in told.values())


def test_the_commands_on_a_sweeps_page(make_sweep: Callable[[str, list[str]], Path]) -> None:
    for name in NAMES:
        words = ["-m", "seed=0,1", f"data.root={name}"]
        sweep = make_sweep(name, words)
        resumed, started, compared, written = pasted(
            commands_of(sweep_report(sweep, summaries(sweep))[1])
        )
        assert started == ["sslcli", "pretrain", *words]
        for command, found in (("resume", resumed), ("compare", compared), ("report", written)):
            assert found[:2] == ["sslcli", command]
            assert is_same(found[2], sweep)
