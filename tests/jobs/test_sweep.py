"""Sweeps: nothing is lost, nothing is done twice, and the table says what it came to."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from doubles import TINY, Sslcli, double_of, facts
from hydra.types import RunMode

from sslcli.cli.compose import config_loader, register
from sslcli.cli.sweep import jobs_planned
from sslcli.console import Console, JobState
from sslcli.errors import SslcliError
from sslcli.jobs import process
from sslcli.jobs import sweep as sweeping
from sslcli.jobs.sweep import identifying_words
from sslcli.jobs.sweep_results import find_sweep
from sslcli.runs.folder import Run, Validation
from sslcli.runs.lock import Lock
from sslcli.text import hydra_quoted

ACCURACY = Validation("knn_accuracy")


class Processes:
    """Stands in for the processes of a sweep's jobs: `began` are the jobs, `ending` is what becomes of one."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ending: Callable[[Run, dict[str, Any]], int] = self.finishes

    def call(self, given: dict[str, Any]) -> int:
        words = given["words"]
        assert words[0] == "resume"
        folder = Path(words[1])
        self.began.append(folder.name[:3])
        config = yaml.safe_load((folder / "config.yaml").read_text())
        with Run(folder) as run:
            run.update(status="running")
            return self.ending(run, config)

    @staticmethod
    def finishes(run: Run, config: dict[str, Any]) -> int:
        """The lower the temperature the better on validation, and the worse on test; the seeds 0.1 apart."""
        value = 0.5 - config["method"]["temperature"] / 4 + config["seed"] / 10
        run.finish(
            {"knn_accuracy": value, "top1": 1 - value, "loss": 2.0},
            ACCURACY,
            peak_memory_bytes=3 * 2**20,
        )
        return 0


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    found = Processes()
    monkeypatch.setattr(process, "call", double_of(process.call, found.call))
    monkeypatch.setattr(sweeping, "POLL", 0.01)
    monkeypatch.setattr(process, "POLL", 0.01)
    return found


def only_sweep(folder: Path) -> Path:
    (found,) = (path.parent for path in folder.rglob("sweep.json"))
    return found


def told(folder: Path) -> dict[str, Any]:
    return dict(json.loads((only_sweep(folder) / "sweep.json").read_text()))


def test_every_job_has_its_folder_and_its_whole_config(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    outcome = sslcli(
        "pretrain", "-m", "method.temperature=0.1,0.5", "epochs=3", "runtime.outputs=my runs"
    )
    assert outcome.status == 0, outcome.err
    sweep = only_sweep(tmp_path / "my runs")
    assert sweep.parent == tmp_path / "my runs" / "pretrain" / "sweeps"
    runs = sorted(path.parent for path in sweep.rglob("run.json"))
    assert [run.name[:4] for run in runs] == ["000-", "001-"]
    assert all("=" not in str(run.relative_to(tmp_path)) for run in runs)
    configs = [yaml.safe_load((run / "config.yaml").read_text()) for run in runs]
    assert [(c["method"]["temperature"], c["epochs"]) for c in configs] == [(0.1, 3), (0.5, 3)]
    assert all(facts(run)["identity"].startswith(run.name[4:]) for run in runs)
    assert len({facts(run)["identity"] for run in runs}) == 2


def test_the_table_has_a_row_a_setting_and_never_chooses_by_test(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    outcome = sslcli("pretrain", "-m", "method.temperature=0.5,0.1", "seed=0,1")
    lines = {line.split()[0]: line for line in outcome.out.splitlines() if line}
    assert "0.425 ± 0.071" in lines["method.temperature=0.5"]  # of 0.375 and 0.475
    assert "0.525 ± 0.071" in lines["method.temperature=0.1"]
    assert "2/2" in lines["method.temperature=0.1"]
    assert "3 MiB" in lines["method.temperature=0.1"]
    assert lines["method.temperature=0.1"].endswith("best")  # though on test the other one is
    assert "best" not in lines["method.temperature=0.5"]
    found = told(tmp_path)
    assert found["validation"] == {
        "metric": "knn_accuracy",
        "larger_is_better": True,
        "given": None,
    }
    assert [setting["best"] for setting in found["settings"]] == [False, True]
    assert found["settings"][0]["words"] == ["method.temperature=0.5"]
    assert found["settings"][0]["jobs"] == [0, 1]
    assert found["settings"][0]["metrics"]["knn_accuracy"] == {
        "mean": pytest.approx(0.425), "sd": pytest.approx(0.1 / 2**0.5),
    }  # fmt: skip
    assert [job["status"] for job in found["jobs"]] == ["finished"] * 4
    assert [job["metrics"]["top1"] for job in found["jobs"]] == pytest.approx(
        [0.625, 0.525, 0.525, 0.425]
    )
    assert (found["command"], found["words"]) == (
        "pretrain",
        ["-m", "method.temperature=0.5,0.1", "seed=0,1"],
    )


def test_where_less_is_better_and_where_nothing_was_validated(
    sslcli: Sslcli, processes: Processes
) -> None:
    def with_error(run: Run, config: dict[str, Any]) -> int:
        run.finish(
            {"val_error": config["epochs"] / 10}, Validation("val_error", larger_is_better=False)
        )
        return 0

    processes.ending = with_error
    lines = sslcli("pretrain", "-m", "epochs=2,1").out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("best")] == ["epochs=1"]

    def without(run: Run, config: dict[str, Any]) -> int:
        run.finish({"top1": config["epochs"] / 10}, None)
        return 0

    processes.ending = without
    out = sslcli("pretrain", "-m", "epochs=3,4").out
    assert "no best: they measured no validation metric" in out
    assert not any(line.endswith("best") for line in out.splitlines())


def test_what_was_damaged_less_is_not_restored_better(sslcli: Sslcli, processes: Processes) -> None:
    def restores(run: Run, config: dict[str, Any]) -> int:
        damaged = 20 - 10 * config["method"]["corruption"]["masking"]
        restored = Validation("restored_psnr", given="damaged_psnr")
        run.finish({"restored_psnr": damaged + config["epochs"], "damaged_psnr": damaged}, restored)
        return 0

    processes.ending = restores
    words = ("pretrain", "-m", "method=denoising_autoencoder")
    lines = sslcli(*words, "epochs=2,1").out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("best")] == ["epochs=2"]
    out = sslcli(*words, "method.corruption.masking=0.25,0.5").out
    assert "no best: restored_psnr was measured from another damaged_psnr" in out
    assert not any(line.endswith("best") for line in out.splitlines())


def test_only_what_is_missing_is_done_again(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    def second_fails(run: Run, config: dict[str, Any]) -> int:
        if config["method"]["temperature"] == 0.2:
            return -signal.SIGKILL
        return processes.finishes(run, config)

    processes.ending = second_fails
    words = ["pretrain", "-m", "method.temperature=0.1,0.2,-1,0.3", "epochs=3"]
    outcome = sslcli(*words)
    assert outcome.status == 1
    assert processes.began == ["000", "001", "003"]
    assert "job 001 (method.temperature=0.2) failed: killed by SIGKILL" in outcome.err
    assert (
        "job 002 (method.temperature=-1) refused: method.temperature must be positive, got -1.0"
        in outcome.err
    )
    assert "error: 2 of 4 jobs did not finish: 001, 002" in outcome.err
    assert [line for line in outcome.out.splitlines() if line.endswith("best so far")]
    failed = next(only_sweep(tmp_path).glob("001-*"))
    assert facts(failed)["status"] == "failed"

    processes.began.clear()
    processes.ending = processes.finishes
    outcome = sslcli(
        *words, "runtime.threads=1", "hydra/launcher=basic"
    )  # where and how: the same sweep
    assert outcome.status == 1
    assert processes.began == ["001"]
    assert "finished already: 000, 003" in outcome.out
    assert "error: 1 of 4 jobs did not finish: 002" in outcome.err
    assert facts(failed)["error"] is None
    assert [job["status"] for job in told(tmp_path)["jobs"]] == [
        "finished",
        "finished",
        "refused",
        "finished",
    ]

    processes.began.clear()
    sslcli("pretrain", "-m", "method.temperature=0.1", "epochs=3")
    assert processes.began == ["000"], "other words are another sweep"
    assert len(list((tmp_path / "outputs" / "pretrain" / "sweeps").iterdir())) == 2


def test_when_all_are_refused_it_is_the_words_that_are_wrong(
    sslcli: Sslcli, processes: Processes
) -> None:
    outcome = sslcli("pretrain", "-m", "method.temperature=-1,-2")
    assert outcome.status == 2
    assert "2 of 2 jobs did not finish: 000, 001" in outcome.err
    assert "try 0.1 to 1.0" in outcome.err


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["epocs=1,2"], "there is no key 'epocs'"),
        (["epochs=abc,2"], "epochs"),
        (["hydra/launcher=ray", "seed=0,1"], "pip install 'sslcli[sweep]'"),
        (["--cfg", "job", "seed=0,1"], "leave -m out"),
    ],
)
def test_a_mistake_is_said_before_anything_is_made(
    sslcli: Sslcli, processes: Processes, tmp_path: Path, words: list[str], wrong: str
) -> None:
    outcome = sslcli("pretrain", "-m", *words)
    assert outcome.status == 2
    assert wrong in outcome.err
    assert len(outcome.err.strip().splitlines()) == 2
    assert not list(tmp_path.rglob("sweep.json"))


def test_no_two_work_on_a_sweep(sslcli: Sslcli, processes: Processes, tmp_path: Path) -> None:
    sslcli("pretrain", "-m", "seed=0,1")
    lock = Lock(only_sweep(tmp_path))
    outcome = sslcli("pretrain", "-m", "seed=0,1")
    lock.release()
    assert outcome.status == 2
    assert "another process is working on" in outcome.err


def test_a_job_that_goes_on_without_its_sweep_is_waited_for(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    processes.ending = lambda run, config: -signal.SIGKILL
    sslcli("pretrain", "-m", "seed=0,1")
    processes.began.clear()
    processes.ending = processes.finishes
    alone = next(only_sweep(tmp_path).glob("000-*"))
    run = Run(alone)

    def ends() -> None:
        time.sleep(0.5)
        run.finish({"knn_accuracy": 0.25}, ACCURACY)
        run.__exit__()

    with run:
        thread = threading.Thread(target=ends)
        thread.start()
        assert sslcli("pretrain", "-m", "seed=0,1").status == 0
        thread.join()
    assert processes.began == ["001"]
    assert facts(alone)["metrics"] == {"knn_accuracy": 0.25}


def test_an_experiment_file_may_say_what_is_swept() -> None:
    register()
    with config_loader([]) as loader:
        words = ["experiment=temperature_sweep", "epochs=2"]
        composed = loader.load_configuration("pretrain", words, RunMode.MULTIRUN)
        planned = jobs_planned(composed, loader)
    assert len(planned) == 9
    assert planned[1] == ["method.temperature=0.1", "seed=1", *words]


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


def test_a_sweep_is_found_by_folder_or_by_the_beginning_of_its_name(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    sslcli("pretrain", "-m", "seed=0,1", "runtime.outputs='a [b] ${oc.env:HOME} \\'c\\''")
    sweep = only_sweep(tmp_path)
    outputs = sweep.parent.parent.parent
    for name in (str(sweep), sweep.name[:19], str(sweep.relative_to(outputs))[:30]):
        assert find_sweep(name, outputs) == sweep
    assert find_sweep("last", outputs) is None
    assert find_sweep(next(sweep.glob("000-*")).name, outputs) is None
    shutil.copytree(sweep, sweep.with_name(f"{sweep.name[:19]}-other"))
    with pytest.raises(SslcliError, match="2 sweeps or runs begin with"):
        find_sweep(sweep.name[:19], outputs)


def test_on_a_terminal_what_does_not_fit_is_what_is_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "FORCE_COLOR": "1",
        "COLUMNS": "100",
        "LINES": "12",
        "TERM": "xterm",
    }.items():
        monkeypatch.setenv(name, value)
    screen = io.StringIO()
    jobs = [
        JobState(
            f"{n:03d}", f"seed={n}", "finished" if n < 28 else "running", "3/9", "loss 1", "2 s"
        )
        for n in range(30)
    ]
    with Console(errors=screen).jobs() as show:
        show(jobs)
        assert "28 of 30 jobs finished" in screen.getvalue()
        assert "seed=29" in screen.getvalue()
        assert "seed=27" not in screen.getvalue()
        show(jobs[20:])
        assert "seed=29" in screen.getvalue().partition("8 of 10 jobs finished")[2]


@pytest.mark.parametrize(
    "text", ["plain", "it's", "a\\", "a\\'b", "${x} $", 'q"[1, 2]{a: b}=,', "ü é", "a\\b"]
)
def test_any_folder_is_told_to_hydra_as_it_is(text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    (override,) = OverridesParser.create().parse_overrides([f"key={hydra_quoted(text)}"])
    assert OmegaConf.create({"key": override.value()}).key == text


def test_where_and_how_do_not_tell_sweeps_apart() -> None:
    words = [
        "-m",
        "seed=0,1",
        "runtime.outputs=x",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "epochs=2",
    ]
    assert identifying_words(words) == ["seed=0,1", "epochs=2"]
    assert identifying_words([*words, "runtime.precision=fp32"]) != identifying_words(words), (
        "other numbers come out"
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


def test_a_folder_of_the_users_survives_words_that_are_refused(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    outcome = sslcli("pretrain", "-m", "method=simclr,typo", f"hydra.sweep.dir={mine}")
    assert outcome.status == 2
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_the_same_words_that_mean_another_run_are_no_repetition(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    def finishes(run: Run, config: dict[str, Any]) -> int:
        run.finish({"top1": 0.5}, None)
        return 0

    processes.ending = finishes
    assert sslcli("pretrain", *TINY, "epochs=1", "runtime.outputs=outputs").status == 0
    words = ["linear-eval", "-m", "run=last", "seed=0,1"]
    assert sslcli(*words).status == 0
    assert sslcli("pretrain", *TINY, "epochs=1", "seed=1", "runtime.outputs=outputs").status == 0
    outcome = sslcli(*words)
    assert outcome.status == 1
    assert "was started as another experiment" in outcome.err
    assert len(processes.began) == 2
