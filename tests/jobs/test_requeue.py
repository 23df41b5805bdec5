"""A Slurm job whose time is over: it is queued again, and goes on with the run that it began.

`scontrol` is a program of the test's own, which writes down what it was asked.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import yaml
from doubles import (
    TINY,
    Sslcli,
    describe_encoder,
    facts,
    make_run,
    only_run,
    records,
    require_refused,
)

from sslcli.console import TrainingLines
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.experiments.linear_eval_config import Config as LinearEvalConfig
from sslcli.jobs.job import create
from sslcli.jobs.requeue import begun_before

WORDS = ["pretrain", *TINY, "knn_every=0"]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the process into job 77, and a `scontrol` onto its path; returns what that writes."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/scontrol"
    program.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    return tmp_path / "bin/asked"


def announce_the_end(patches: pytest.MonkeyPatch) -> None:
    """Sends a signal at the second step, as a queue does before the job's time is over."""
    real = TrainingLines.step

    def step(self: TrainingLines, done: int) -> None:
        real(self, done)
        if done == 2:
            signal.raise_signal(signal.SIGUSR1)

    patches.setattr(TrainingLines, "step", step)


@pytest.mark.slow
def test_a_run_is_saved_queued_again_and_gone_on_with(
    sslcli: Sslcli, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sslcli(*WORDS, "runtime.outputs=whole")
    assert whole.status == 0, whole.err
    with monkeypatch.context() as patched:
        announce_the_end(patched)
        stopped = sslcli(*WORDS)
    assert stopped.status == 128 + signal.SIGUSR1
    assert "job 77 is queued again" in stopped.out
    assert job.read_text() == "requeue 77\n"
    run = only_run(tmp_path / "outputs")
    assert facts(run)["status"] == "interrupted"

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    damaged = tmp_path / "outputs/pretrain/damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    assert sslcli(*WORDS).status == 0
    shutil.rmtree(damaged)
    assert only_run(tmp_path / "outputs") == run, "the same words go on with it"
    assert records(run) == records(only_run(tmp_path / "whole"))
    again = sslcli(*WORDS)
    assert again.status == 0
    assert "finished before this job was queued again" in again.out
    assert sslcli(*WORDS, "seed=1").status == 0
    assert len(list((tmp_path / "outputs").rglob("run.json"))) == 2, "other words are another run"


@pytest.mark.slow
def test_what_slurm_refuses_is_said(
    sslcli: Sslcli, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job.parent / "scontrol").write_text(
        '#!/bin/sh\necho "Requested operation disabled" >&2\nexit 1\n'
    )
    announce_the_end(monkeypatch)
    stopped = sslcli(*WORDS)
    assert stopped.status == 128 + signal.SIGUSR1
    assert (
        "Slurm did not queue job 77 again: Requested operation disabled"
        in stopped.out + stopped.err
    )


def test_only_a_job_that_was_queued_again_looks_for_its_run() -> None:
    job = {"SLURM_JOB_ID": "77"}
    for environment in ({}, job, {**job, "SLURM_RESTART_COUNT": "0"}):
        assert begun_before("pretrain", None, [], environment) is None


def test_the_same_words_in_another_folder_are_another_run(
    sslcli: Sslcli, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has no pictures, and so ends as it begins."""
    words = ["pretrain", "data=folder", "data.root=pics", f"runtime.outputs={tmp_path / 'outputs'}"]
    for name, restarts in (("ours", "0"), ("theirs", "1"), ("ours", "2")):
        (tmp_path / name / "pics").mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
        require_refused(sslcli(*words), f"{tmp_path / name / 'pics'}")
    configs = (tmp_path / "outputs").rglob("config.yaml")
    roots = [yaml.safe_load(config.read_text())["data"]["root"] for config in configs]
    assert sorted(roots) == [str(tmp_path / name / "pics") for name in ("ours", "theirs")]


def test_the_same_words_that_name_another_encoder_are_another_run(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        made = make_run(tmp_path / name)
        describe_encoder(made, "convnet")
        (made / "encoder.safetensors").write_text(name)
    best = tmp_path / "best"
    best.symlink_to("first")
    config = LinearEvalConfig(run=str(best), runtime=RuntimeConfig())
    begun = create("linear-eval", config, ["run=best"])
    again = {"SLURM_JOB_ID": "77", "SLURM_RESTART_COUNT": "1"}
    assert begun_before("linear-eval", config, ["run=best"], again) == begun
    best.unlink()
    best.symlink_to("second")
    assert begun_before("linear-eval", config, ["run=best"], again) is None
