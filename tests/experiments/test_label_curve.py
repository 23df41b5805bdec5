"""`sslcli label-curve`, end to end: its cells, their protocol, that a resumed curve measures what is missing and no more."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from doubles import TINY_WITHOUT_LIMIT, Killed, Sslcli, Steps, facts, only_run, records

from sslcli.console import Console
from sslcli.experiments import label_curve_report
from sslcli.runs.evaluations import Evaluation, read_evaluations
from sslcli.runs.results import read_results

FEW = [
    "runtime.threads=1", "training.epochs=2", "training.steps=1", "training.batch_size=8", "labels=[4,0.25]", "subsets=2",
    "l2=[1e-2,1e-1]",
]  # fmt: skip


def test_every_cell_is_measured_and_summed_up(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    outcome = sslcli("label-curve", *FEW)
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs/label-curve")
    results = read_results(run)
    assert len(results.rows) == 4 * 2 * 2
    assert {row.settings["num_labels"] for row in results.rows} == {12, 30}
    assert results.runs == [str(coloured.absolute())]
    pixels = [row.scores["top1"] for row in results.rows if row.name == "raw_pixels"]
    assert min(pixels) > 0.8
    with (run / "label_curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2
    few = [
        row.scores["top1"]
        for row in results.rows
        if row.name == "linear_probe" and row.settings["num_labels"] == 12
    ]
    (row,) = (row for row in rows if row["curve"] == "linear probe" and row["labels"] == "12")
    assert float(row["mean_top1"]) == pytest.approx(np.mean(few))
    assert float(row["interval"]) == pytest.approx(12.706 * np.std(few, ddof=1) / np.sqrt(2))
    assert (run / "figures/label_curve.png").exists()
    assert facts(run)["metrics"]["linear_probe_12"] == pytest.approx(np.mean(few))
    assert "from scratch" in outcome.out
    evaluation = read_evaluations(coloured)[0][-1]
    assert (evaluation.command, evaluation.metrics) == ("label-curve", facts(run)["metrics"])


@pytest.mark.parametrize("all_of_them", ["1.0", "40"])
def test_all_labels_have_one_subset_for_a_probe(
    sslcli: Sslcli, coloured: Path, tmp_path: Path, all_of_them: str
) -> None:
    """However they are asked for: there are 40 of every class."""
    assert (
        sslcli(
            "label-curve", *FEW, f"labels=[{all_of_them}]", "kinds=[linear_probe,from_scratch]"
        ).status
        == 0
    )
    rows = read_results(only_run(tmp_path / "outputs/label-curve")).rows
    assert [row.name for row in rows] == ["linear_probe", "from_scratch", "from_scratch"]


@pytest.mark.slow
def test_a_cell_is_what_its_own_command_measures(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    assert (
        sslcli(
            "label-curve", *FEW, "kinds=[linear_probe,finetuned]", "labels=[4]", "subsets=1"
        ).status
        == 0
    )
    probe, tuned = read_results(only_run(tmp_path / "outputs/label-curve")).rows
    words = [word for word in FEW if word.startswith(("runtime", "training"))]
    assert sslcli("finetune", f"run={coloured}", "labels=4", *words).status == 0
    (alone,) = read_results(only_run(tmp_path / "outputs/finetune")).rows
    assert (
        sslcli(
            "linear-eval", f"run={coloured}", "labels=4", "l2=[1e-2,1e-1]", "baselines=false"
        ).status
        == 0
    )
    evaluated = read_results(only_run(tmp_path / "outputs/linear-eval"))
    assert probe.scores["top1"] == evaluated.row("trained_encoder").scores["top1"]
    assert tuned.scores["val_top1"] == pytest.approx(
        alone.scores["val_top1"], abs=0.15
    )  # another phase, so other crops


def test_stopped_it_measures_what_is_missing(
    sslcli: Sslcli, coloured: Path, tmp_path: Path, steps: Steps
) -> None:
    words = ["label-curve", f"run={coloured}", *FEW, "subsets=1"]
    assert sslcli(*words, "runtime.outputs=whole").status == 0
    steps.kill_at = ("0-from_scratch/labels-4-0", 1)
    with pytest.raises(Killed):
        sslcli(*words, "runtime.outputs=cut")
    steps.taken, steps.kill_at = {}, None
    cut, whole = (only_run(tmp_path / name) for name in ("cut", "whole"))
    assert sslcli("resume", str(cut)).status == 0
    assert list(steps.taken) == ["0-from_scratch/labels-4-0", "0-from_scratch/labels-0.25-0"]
    assert records(cut) == records(whole)
    assert json.loads((cut / "results.json").read_text()) == json.loads(
        (whole / "results.json").read_text()
    )


def test_killed_at_its_very_end_it_is_noted_once(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    real = label_curve_report.append_evaluation

    def noted_and_killed(source: Path, evaluation: Evaluation, console: Console) -> None:
        real(source, evaluation, console)
        raise Killed

    with pytest.MonkeyPatch.context() as patches, pytest.raises(Killed):
        patches.setattr(label_curve_report, "append_evaluation", noted_and_killed)
        sslcli("label-curve", f"run={coloured}", *FEW, "subsets=1", "kinds=[raw_pixels]")
    run = only_run(tmp_path / "outputs/label-curve")
    outcome = sslcli("resume", str(run))
    assert outcome.status == 0, outcome.err
    found = [each for each in read_evaluations(coloured)[0] if Path(each.run) == run.absolute()]
    assert [each.metrics for each in found] == [facts(run)["metrics"]]


@pytest.mark.slow
def test_several_runs_stand_side_by_side(sslcli: Sslcli, coloured: Path, tmp_path: Path) -> None:
    assert (
        sslcli(
            "pretrain", *TINY_WITHOUT_LIMIT, "data=arrays", "data.root=pictures.npz", "seed=1"
        ).status
        == 0
    )
    runs = sorted(path.parent for path in (tmp_path / "outputs/pretrain").rglob("encoder.json"))
    outcome = sslcli(
        "label-curve", f"runs=[{runs[0]},{runs[1]}]", *FEW, "kinds=[linear_probe,raw_pixels]"
    )
    assert outcome.status == 0, outcome.err
    assert "linear probe, simclr (1)" in outcome.out
    assert "linear probe, simclr (2)" in outcome.out
    assert outcome.out.count("raw pixels, 12 labels, subset 0") == 1


def test_what_cannot_be_done_is_said_before_anything_slow(sslcli: Sslcli, coloured: Path) -> None:
    for words, wrong in (
        (["labels=[41]"], "class"),
        (["labels=[0.25,10]"], "labels=10 and labels=0.25 both mean 30 labels here"),
        (["labels=[]"], "labels must be"),
        (["subsets=0"], "subsets must be at least 1"),
        (["kinds=[linear_probe,linear_probe]"], "kinds must be without repetition"),
        (["data=fashion_sample"], "channel"),
        ([f"runs=[{coloured},{coloured}]"], "runs must be without repetition"),
    ):
        outcome = sslcli("label-curve", *FEW, *words)
        assert outcome.status == 2, words
        assert wrong in outcome.err, outcome.err


def test_an_encoder_that_saw_labels_is_no_point_of_a_curve(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    assert (
        sslcli(
            "finetune",
            "run=last",
            "labels=4",
            "training.epochs=1",
            "training.steps=1",
            "runtime.threads=1",
        ).status
        == 0
    )
    finetuned = only_run(tmp_path / "outputs/finetune")
    outcome = sslcli("label-curve", f"runs=[{coloured},{finetuned}]", *FEW)
    assert outcome.status == 2
    assert f"{finetuned} learned from 12 labels" in outcome.err
    outcome = sslcli("label-curve", "run=last", f"baselines=[{finetuned}]", *FEW)
    assert outcome.status == 2
    assert f"{finetuned} learned from 12 labels" in outcome.err
    assert sslcli("label-curve", "run=last", *FEW, "kinds=[linear_probe]", "subsets=1").status == 0
    results = read_results(only_run(tmp_path / "outputs/label-curve"))
    assert results.runs == [str(coloured)], "last is the newest that was pretrained"
