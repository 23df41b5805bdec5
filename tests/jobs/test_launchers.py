"""Sweeps whose jobs are processes, by every launcher, and sweeps that search."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from doubles import TINY, Sslcli, facts
from sweeps import Processes, only_sweep, told


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Optuna 2 on SQLAlchemy 2
def test_optuna_searches_goes_on_and_is_stopped_in_the_wrong_direction(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = [
        "pretrain",
        "-m",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_jobs=1",
        "method.temperature=interval(0.1,1)",
    ]
    outcome = sslcli(*words, "hydra.sweeper.n_trials=3")
    assert outcome.status == 2
    assert "hydra.sweeper.direction is minimize, but of knn_accuracy more is better" in outcome.err
    assert "hydra.sweeper.direction=maximize" in outcome.err
    assert processes.began == ["000"]

    words.append("hydra.sweeper.direction=maximize")
    assert sslcli(*words, "hydra.sweeper.n_trials=3").status == 0
    assert processes.began == ["000", "001", "002"]
    processes.ending = lambda run, config: -signal.SIGKILL
    outcome = sslcli(*words, "hydra.sweeper.n_trials=5")
    assert processes.began == ["000", "001", "002", "003", "004"], (
        "a failed trial does not end the search"
    )
    assert outcome.status == 1
    best = yaml.safe_load((only_sweep(tmp_path) / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(
        job["metrics"]["knn_accuracy"] for job in told(tmp_path)["jobs"][:3]
    )


# From here on the jobs are processes.


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sslcli", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_step(outputs: Path, step: int) -> Path:
    """Until the one job that can run has taken the step; its folder."""
    for _ in range(2400):
        for path in outputs.rglob("metrics.jsonl"):
            if f'"step": {step},' in path.read_text():
                return path.parent
        time.sleep(0.02)
    raise AssertionError(f"step {step} was not reached")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_killed_job_and_a_stopped_sweep_lose_nothing(tmp_path: Path) -> None:
    words = [
        "epochs=500",
        "log_every=1",
        "save_every=1",
        "knn_every=0",
        "method.temperature=0.5,-1",
    ]
    process = begin(tmp_path, "pretrain", "-m", *TINY, *words)
    job = wait_for_step(tmp_path, 6)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "job 000 (method.temperature=0.5) failed: killed by SIGKILL" in err
    assert "error: 2 of 2 jobs did not finish: 000, 001" in err
    sweep = only_sweep(tmp_path)
    assert f"sslcli resume {sweep.relative_to(tmp_path)}" in err
    reached = facts(job)["step"]
    assert reached >= 4

    process = begin(Path("/"), "resume", str(sweep))
    wait_for_step(tmp_path, reached + 40)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "stopped by SIGTERM" in err
    assert facts(job)["status"] == "interrupted"
    assert facts(job)["step"] >= reached + 40
    steps = [json.loads(line)["step"] for line in (job / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps), "what was done is not done again"
    assert not (sweep / ".stop").exists()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_slurm"])
def test_other_launchers(launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs at a time, in other processes; Slurm's own commands are stood in for, submitit's are not."""
    plugin = {"joblib": "hydra_joblib_launcher", "submitit_slurm": "hydra_submitit_launcher"}[
        launcher
    ]
    pytest.importorskip(f"hydra_plugins.{plugin}")
    (tmp_path / "bin").mkdir()
    for name, text in SLURM.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    more = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else ["hydra.launcher.timeout_min=5"]
    words = ["pretrain", "-m", *TINY, "epochs=1", *more]
    process = begin(tmp_path, *words, "method.temperature=0.5,-1", f"hydra/launcher={launcher}")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "1 of 2 jobs did not finish: 001" in err
    assert "method.temperature=0.5" in out
    assert [job["status"] for job in told(tmp_path)["jobs"]] == ["finished", "refused"]
    assert (launcher == "submitit_slurm") == (tmp_path / "submitted.sh").exists()
    (run,) = tmp_path.rglob("run.json")
    at_once = json.loads(run.read_text())["runs_at_once"]
    assert at_once == (2 if launcher == "joblib" else 1), "they divide the cores"


SLURM = {
    "sbatch": f"""#!{sys.executable}
import os, re, shutil, subprocess, sys
script = sys.argv[-1]
shutil.copy(script, "submitted.sh")
first, last = map(int, re.search(r"--array=(\\d+)-(\\d+)", open(script).read()).groups())
for index in range(first, last + 1):
    task = dict(SLURM_JOB_ID=f"{{100 + index}}", SLURM_ARRAY_JOB_ID="42", SLURM_ARRAY_TASK_ID=f"{{index}}",
                SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1", SLURM_NODEID="0", SLURM_PROCID="0", SLURM_LOCALID="0",
                SLURM_JOB_NODELIST="localhost")
    with open(os.devnull, "w") as nothing:
        subprocess.Popen(["bash", script], env={{**os.environ, **task}}, stdout=nothing, stderr=nothing)
print("Submitted batch job 42")
""",
    "srun": """#!/bin/bash
while [[ "$1" == -* ]]; do case "$1" in --output|--error) shift 2;; *) shift;; esac; done
exec "$@"
""",
    "sacct": """#!/bin/bash
printf 'JobID|State|NodeList\\n42_0|RUNNING|localhost\\n42_1|RUNNING|localhost\\n'
""",
}
