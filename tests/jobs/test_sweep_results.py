"""What is said of a sweep: its table, the best setting, and where it is."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from doubles import Sslcli
from sweeps import Processes, only_sweep, told

from sslcli.console import Console, JobState
from sslcli.errors import RunFailed, SslcliError
from sslcli.jobs.job_state import states
from sslcli.jobs.sweep import finish_sweep
from sslcli.jobs.sweep_results import find_sweep, jobs_of, refused_file
from sslcli.runs.folder import Run, Validation


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_job_that_ran_and_was_refused_since_is_one_row(
    sslcli: Sslcli, processes: Processes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sslcli("pretrain", "-m", "seed=0,1")
    sweep = only_sweep(tmp_path)
    refusal = {"words": ["seed=0"], "error": "it means something else", "fix": "end it"}
    refused_file(sweep, 0).write_text(json.dumps(refusal))
    jobs = jobs_of(sweep)
    assert [(job.name, job.status, " ".join(job.what)) for job in jobs] == [
        ("000", "refused", "seed=0"),
        ("001", "finished", "seed=1"),
    ]
    assert [state.newest for state in states(jobs)] == [refusal["error"], "knn accuracy 0.55"]
    with pytest.raises(RunFailed, match=r"^1 of 2 jobs did not finish: 000$"):
        finish_sweep(sweep, None, Console())
    assert "all jobs       1/2" in capsys.readouterr().out
    assert [job["folder"][:3] for job in told(sweep)["jobs"]] == ["000", "001"]


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
