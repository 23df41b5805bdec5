"""`sslcli worth`, end to end: its verdict, what it compares, and that a stopped one ends as a whole one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doubles import TINY_WITHOUT_LIMIT, Killed, Sslcli, Steps, facts, only_run, records

from sslcli.experiments.label_curve_cells import Cell
from sslcli.experiments.worth import beside, chosen_of, num_subsets, preferred
from sslcli.experiments.worth_config import Config
from sslcli.report.verdict import sentences
from sslcli.runs.results import read_results

WORDS = [
    "worth", *TINY_WITHOUT_LIMIT, "epochs=1", "data=arrays", "data.root=pictures.npz", "labels=[4,1.0]", "subsets=2",
    "training.epochs=1", "training.steps=1", "training.batch_size=8", "l2=[1e-2,1e-1]", "knn_every=0",
]  # fmt: skip


@pytest.mark.slow
def test_the_verdict_is_said_recorded_and_drawn(
    sslcli: Sslcli, coloured: Path, tmp_path: Path, steps: Steps
) -> None:
    outcome = sslcli(*WORDS, "runtime.outputs=whole")
    assert outcome.status == 0, outcome.err
    whole = only_run(tmp_path / "whole")
    found = facts(whole)
    for sentence in found["verdict"]:
        assert sentence in outcome.out
    assert len(found["verdict"]) >= 1
    results = read_results(whole)
    cells = [row for row in results.rows if row.name != "label_equivalent"]
    assert len(cells) == 5 * 2 * 2 - 3
    assert len(results.rows) == len(cells) + 2
    assert (whole / "figures/label_curve.png").exists()
    assert (whole / "encoder.safetensors").exists()
    assert found["status"] == "finished"
    losses = [one["loss"] for one in records(whole) if "loss" in one and one["phase"] == "pretrain"]
    of_pretraining = "not of a classifier that was trained after it"
    assert found["metrics"]["loss"] == losses[-1], of_pretraining
    assert "val_accuracy" not in found["metrics"]

    steps.kill_at = ("0-from_scratch/labels-4-1", 1)
    with pytest.raises(Killed):
        sslcli(*WORDS, "runtime.outputs=cut")
    steps.taken, steps.kill_at = {}, None
    cut = only_run(tmp_path / "cut")
    assert sslcli("resume", str(cut)).status == 0
    assert "pretrain" not in steps.taken
    assert "0-finetuned/labels-4-0" not in steps.taken
    assert records(cut) == records(whole)
    assert (cut / "results.json").read_text() == (whole / "results.json").read_text()
    assert facts(cut)["metrics"] == found["metrics"]


def test_what_cannot_be_done_is_said(sslcli: Sslcli, coloured: Path) -> None:
    for words, said in (
        (["budget=0"], "budget must be positive"),
        (["subsets=1"], "subsets must be at least 2"),
        (["labels=[1.0]"], "labels must be two amounts"),
        (["labels=[0,1.0]"], "labels must be positive"),
    ):
        outcome = sslcli(*WORDS, *words)
        assert outcome.status == 2
        assert said in outcome.err


def test_amounts_that_mean_the_same_are_refused_before_anything_is_trained(
    sslcli: Sslcli, coloured: Path, steps: Steps
) -> None:
    outcome = sslcli(*WORDS, "labels=[0.25,10]")
    assert outcome.status == 2
    assert "labels=10 and labels=0.25 both mean 30 labels here" in outcome.err
    assert steps.taken == {}


def test_data_without_a_test_part_can_hold_one_out(sslcli: Sslcli, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(80) % 2
    pictures = (
        draw.integers(0, 99, (80, 8, 8, 1), dtype=np.uint8) + 100 * labels[:, None, None, None]
    )
    np.savez(tmp_path / "pictures.npz", x_train=pictures.astype(np.uint8), y_train=labels)
    outcome = sslcli(*WORDS)
    assert outcome.status == 2
    assert "data.test_fraction" in outcome.err


def test_an_encoder_that_learns_from_labels_is_refused_before_it_is_trained(
    sslcli: Sslcli, coloured: Path, steps: Steps
) -> None:
    """At 12 labels it would know all 120."""
    outcome = sslcli(*WORDS, "method=sup_con")
    assert outcome.status == 2
    assert "learns from 120 labels, which would not be counted" in outcome.err
    assert steps.taken == {}


def cells(**top1: float) -> list[Cell]:
    """One number of labels and subset: `kind=validation` accuracies; on test a tenth of that."""
    return [Cell(0, kind, 1.0, 10, 0, value / 10, value, "") for kind, value in top1.items()]


def test_each_side_takes_what_is_best_on_validation() -> None:
    measured = cells(linear_probe=0.5, finetuned=0.6, from_scratch=0.9, raw_pixels=0.4)
    chosen = chosen_of(measured, frozenset({(0, "linear_probe"), (0, "finetuned")}))
    assert chosen.accuracies.tolist() == [[0.06]]


def test_what_was_measured_once_has_no_interval() -> None:
    """Probes of all labels have one subset, so their rows repeat it: that is no agreement."""
    few = [
        Cell(0, kind, 0.1, 10, seed, top1 + seed / 100, 0.5, "")
        for kind, top1 in (("linear_probe", 0.5), ("raw_pixels", 0.4))
        for seed in range(2)
    ]
    every = [
        Cell(0, kind, 1.0, 90, 0, top1, 0.5, "")
        for kind, top1 in (("linear_probe", 0.7), ("raw_pixels", 0.699))
    ]
    one, other = (
        chosen_of([*few, *every], frozenset({(0, kind)})) for kind in ("linear_probe", "raw_pixels")
    )
    assert one.once == other.once == {90}
    at_few, at_every = beside([10, 90], one, other)
    assert at_few.is_better
    assert at_every.gain == pytest.approx(0.001)
    assert (at_every.gain_interval, at_every.low, at_every.high) == (None, None, None)
    assert "With 90 labels, no difference can be told." in sentences([at_few, at_every], "it", 90)


def test_of_several_given_encoders_the_best_on_validation_is_named() -> None:
    kinds = ("linear_probe", "finetuned")
    given = frozenset((source, kind) for source in (1, 2) for kind in kinds)
    val = {(10, 1): (0.5, 0.6), (10, 2): (0.7, 0.1), (90, 1): (0.8, 0.2), (90, 2): (0.7, 0.7)}
    measured = [
        Cell(source, kind, 1.0, count, seed, 1 - value, value + change, "")
        for (count, source), values in val.items()
        for kind, value in zip(kinds, values, strict=True)
        for seed, change in enumerate((0.2, -0.2))
    ]
    beside = [Cell(0, "linear_probe", 1.0, 10, 0, 1.0, 1.0, "")]
    assert preferred(measured + beside, given) == {10: 2, 90: 1}
    assert preferred(measured, frozenset({(1, kind) for kind in kinds})) == {}


@pytest.mark.parametrize(
    ("budget", "expected"), [(None, 5), (25.0, 5), (10.0, 4), (6.0, 2), (1.0, 2)]
)
def test_as_many_subsets_are_measured_as_fit(budget: float | None, expected: int) -> None:
    """Pretraining ended after 2 minutes, the first subset after 4."""
    config = object.__new__(Config)
    config.budget, config.subsets = budget, 5
    assert num_subsets(config, 120.0, 240.0) == expected
