"""Sweeps: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from doubles import TINY, Sslcli, facts, require_refused, require_two_lines
from hydra.types import RunMode
from sweeps import ACCURACY, Processes, only_sweep, told

from sslcli.cli.compose import config_loader, register
from sslcli.cli.sweep import jobs_planned
from sslcli.jobs.sweep_folder import identifying_words
from sslcli.runs.folder import Run
from sslcli.runs.lock import Lock
from sslcli.text import hydra_quoted


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


@pytest.mark.slow
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


def test_a_folder_of_the_users_survives_words_that_are_refused(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    outcome = sslcli("pretrain", "-m", "method=simclr,typo", f"hydra.sweep.dir={mine}")
    assert outcome.status == 2
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_outputs_may_have_the_name_of_a_flag(sslcli: Sslcli, processes: Processes) -> None:
    outcome = sslcli("pretrain", "-m", "seed=0,1", "runtime.outputs=-x")
    assert outcome.status == 0, outcome.err


@pytest.mark.slow
def test_a_job_whose_facts_are_damaged_stops_no_other(
    sslcli: Sslcli, processes: Processes, tmp_path: Path
) -> None:
    processes.ending = lambda run, config: -signal.SIGKILL
    sslcli("pretrain", "-m", "seed=0,1")
    damaged = next(only_sweep(tmp_path).glob("000-*/run.json"))
    whole = damaged.read_text()
    damaged.write_text(whole[:40])
    processes.ending = processes.finishes
    outcome = sslcli("pretrain", "-m", "seed=0,1")
    assert outcome.status == 1
    require_two_lines(outcome, "1 of 2 jobs did not finish: 000")
    where = damaged.relative_to(tmp_path)
    assert f"warning: job 000 (seed=0) refused: {where} cannot be read" in outcome.err
    assert "1/2" in outcome.out
    assert [job["status"] for job in told(tmp_path)["jobs"]] == ["refused", "finished"]
    damaged.write_text(whole)
    assert sslcli("pretrain", "-m", "seed=0,1").status == 0


@pytest.mark.slow
def test_the_same_words_in_another_folder_are_another_sweep(
    sslcli: Sslcli, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name / "pics").mkdir(parents=True)
    words = ["pretrain", "-m", "data=folder", "data.root=pics", "seed=0,1"]
    words.append(f"runtime.outputs={tmp_path / 'outputs'}")
    processes.ending = lambda run, config: -signal.SIGKILL
    monkeypatch.chdir(tmp_path / "ours")
    sslcli(*words)
    ours = only_sweep(tmp_path)
    before = told(tmp_path)
    processes.ending = processes.finishes
    monkeypatch.chdir(tmp_path / "theirs")
    assert sslcli(*words).status == 0
    (theirs,) = {path.parent for path in tmp_path.rglob("sweep.json")} - {ours}
    for sweep, name in ((ours, "ours"), (theirs, "theirs")):
        jobs = sorted(sweep.glob("0*-*/config.yaml"))
        roots = [yaml.safe_load(job.read_text())["data"]["root"] for job in jobs]
        assert roots == [str(tmp_path / name / "pics")] * 2
    refused = sslcli(*words, f"hydra.sweep.dir={ours}")
    fix = require_refused(refused, f"{ours} is the sweep of another folder", "/ours")
    assert f"sslcli resume {ours}; or choose another hydra.sweep.dir" in fix
    assert told(ours) == before

    processes.began.clear()
    monkeypatch.chdir(tmp_path / "ours")
    assert sslcli(*words).status == 0
    assert processes.began == ["000", "001"], "here it is theirs no more"
    assert {job["status"] for job in told(ours)["jobs"]} == {"finished"}
    assert len(list(ours.parent.iterdir())) == 2


@pytest.mark.slow
def test_a_sweep_whose_folder_was_moved_goes_on_there(
    sslcli: Sslcli, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert sslcli("pretrain", "-m", "seed=0,1").status == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert "finished already: 000, 001" in sslcli("pretrain", "-m", "seed=0,1").out
    assert told(tmp_path)["cwd"] == str(tmp_path / "moved")


@pytest.mark.slow
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
    assert outcome.status == 2, "all were refused"
    assert "error: 2 of 2 jobs did not finish: 000, 001" in outcome.err
    assert "was started as another experiment" in outcome.err
    assert len(processes.began) == 2

    first, second = sorted(tmp_path.glob("outputs/pretrain/simclr-*/*"))
    (tmp_path / "best").symlink_to(first)
    words = ["linear-eval", "-m", "run=best", "seed=0,1"]
    assert sslcli(*words).status == 0
    (tmp_path / "best").unlink()
    (tmp_path / "best").symlink_to(second)
    outcome = sslcli(*words)
    assert outcome.status == 2
    assert f"evaluated another encoder than these words name: {tmp_path / 'best'}: " in outcome.err
    assert len(processes.began) == 4
