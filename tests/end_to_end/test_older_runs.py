"""Runs, evaluations and sweeps that sslcli 0.1.0 wrote, before its files moved, still load.

`written_by_0_1_0` holds them as that version left them (commit 108a822), without their figures.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from doubles import Sslcli, facts, records

import sslcli as package

WRITTEN = Path(__file__).parent.parent / "written_by_0_1_0"
FINISHED = "2026-11-25_21-05-49"
INTERRUPTED = "2026-11-25_21-05-59"
SWEEP = "2026-11-25_21-06-03-a5291b7e"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    outputs = tmp_path / "outputs"
    shutil.copytree(WRITTEN, outputs)
    (config,) = outputs.glob("linear-eval/*/*/config.yaml")
    config.write_text(config.read_text().replace("/tmp/fix/outputs", str(outputs)))
    return outputs


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_its_end(sslcli: Sslcli, outputs: Path) -> None:
    (run,) = outputs.rglob(INTERRUPTED)
    before = records(run)
    outcome = sslcli("resume", INTERRUPTED)
    assert outcome.status == 0, outcome.err
    assert facts(run)["status"] == "finished"
    assert records(run)[: len(before)] == before
    steps = [record["step"] for record in records(run) if "loss" in record]
    assert steps == list(range(10, 321, 10)), "no step is lost and none stands twice"


def test_a_finished_run_is_read_evaluated_and_run_again(sslcli: Sslcli, outputs: Path) -> None:
    assert package.load_encoder(FINISHED, outputs).width == 16
    (run,) = outputs.rglob(FINISHED)
    assert f"{FINISHED}" in sslcli("runs", "status=finished", "method=simclr").out
    outcome = sslcli("linear-eval", f"run={FINISHED}", "l2=[0.01]", "baselines=false")
    assert outcome.status == 0, outcome.err
    outcome = sslcli("rerun", FINISHED)
    assert outcome.status in (0, 1), "another machine's last digits may differ"
    assert "\nidentical: " in outcome.out or "\ndifferent: " in outcome.out, outcome.err
    (again,) = [path for path in run.parent.iterdir() if path.name not in (FINISHED, INTERRUPTED)]
    assert facts(again)["identity"] == facts(run)["identity"]
    assert len(records(again)) == len(records(run))


def test_the_evaluation_beside_it_is_still_reported(sslcli: Sslcli, outputs: Path) -> None:
    (run,) = outputs.rglob(FINISHED)
    (evaluation,) = (path.parent for path in outputs.glob("linear-eval/*/*/run.json"))
    outcome = sslcli("report", str(run))
    assert outcome.status == 0, outcome.err
    page = (run / "report.html").read_text()
    assert "linear-eval" in page
    assert sslcli("compare", str(run), str(evaluation)).status == 0
    exported = sslcli("export", str(run), "--to", "safetensors")
    assert exported.status == 0, exported.err
    assert "`linear-eval`" in (run / "export/safetensors/MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_a_sweep_whose_words_mean_something_else_now_ends_job_by_job(
    sslcli: Sslcli, outputs: Path
) -> None:
    """Since it was begun SimCLR has another encoder by default: its jobs go on as they began."""
    sweep = next(outputs.glob(f"pretrain/sweeps/{SWEEP}"))
    jobs = sorted(sweep.glob("0*"))
    done = next(job for job in jobs if facts(job)["status"] == "finished")
    weights = (done / "encoder.safetensors").read_bytes()
    refused = sslcli("resume", SWEEP)
    assert refused.status == 2, "all were refused"
    assert "the same words mean something else now" in (sweep / "sweep.json").read_text() + str(
        [path.read_text() for path in sweep.rglob("*refused*")]
    )
    for job in jobs:
        if job != done:
            assert sslcli("resume", str(job)).status == 0
        assert facts(job)["status"] == "finished", job
    assert (done / "encoder.safetensors").read_bytes() == weights
