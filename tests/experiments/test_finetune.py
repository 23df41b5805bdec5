"""`sslcli finetune`, end to end: what it learns from, which weights it begins and ends with, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Killed, Sslcli, Steps, facts, only_run, records

from sslcli.runs.checkpoint import read_checkpoint
from sslcli.runs.evaluations import read_evaluations
from sslcli.runs.results import read_results
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder

FEW = [
    "runtime.threads=1",
    "training.epochs=3",
    "training.steps=1",
    "training.batch_size=8",
    "log_every=1",
]


def run_of(tmp_path: Path) -> Path:
    return only_run(tmp_path / "outputs/finetune")


def test_learns_from_few_labels_and_reads_test_once(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    outcome = sslcli(
        "finetune", "run=last", "labels=5", *FEW, "training.epochs=20", "optim.lr=1e-2"
    )
    assert outcome.status == 0, outcome.err
    assert "from run weights" in outcome.out
    run = run_of(tmp_path)
    results = read_results(run)
    (row,) = results.rows
    assert row.scores["top1"] is not None
    assert row.scores["top1"] > 0.8
    assert str(results.protocol.trained_on).startswith("15 labels")
    assert str(coloured) in str(results.protocol.details["network"])
    assert facts(run)["metrics"] == row.scores
    evaluation = read_evaluations(coloured)[0][-1]
    assert (evaluation.command, evaluation.run) == ("finetune", str(run))
    assert evaluation.settings == {"init": "run", "labels": 5, "seed": 0}
    assert evaluation.metrics == row.scores
    assert {path.name for path in (run / "figures").iterdir()} >= {"confusion.png", "curves.png"}


@pytest.mark.slow
def test_random_weights_are_the_same_network_drawn_by_the_seed(
    sslcli: Sslcli, coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sslcli.experiments import finetune as finetuning

    began: list[dict[str, torch.Tensor]] = []
    real = finetuning.build_classifier

    def built(*given: Any) -> Any:
        classifier = real(*given)
        state = classifier.encoder.state_dict()
        began.append({key: value.clone() for key, value in state.items()})
        return classifier

    monkeypatch.setattr(finetuning, "build_classifier", built)
    for words in (["init=run"], ["init=random", "seed=7"], ["init=random", "seed=8"]):
        assert sslcli("finetune", "run=last", *words, *FEW).status == 0
    loaded = load_trained(read_encoder(coloured)).state_dict()
    assert all(torch.equal(began[0][key], loaded[key]) for key in loaded)
    key = next(key for key in loaded if loaded[key].ndim == 4)
    assert not torch.equal(began[1][key], loaded[key])
    assert not torch.equal(began[1][key], began[2][key])


def test_a_frozen_encoder_stays_to_the_last_bit(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    words = ["training.epochs=3", "training.frozen_epochs=2", "training.patience=99"]
    assert sslcli("finetune", "run=last", *FEW, *words, "labels=8").status == 0
    state = read_checkpoint(run_of(tmp_path) / "finetune/last.pt")["state"]["modules"]
    loaded = load_trained(read_encoder(coloured)).state_dict()
    moved = [key for key in loaded if not torch.equal(state[f"encoder.{key}"], loaded[key])]
    assert moved, "the third epoch trains it"
    ends_early = [
        "training.epochs=99",
        "training.frozen_epochs=98",
        "training.patience=2",
        "labels=8",
    ]
    assert sslcli("finetune", "run=last", *FEW, *ends_early).status == 0
    newest = max(
        (tmp_path / "outputs/finetune").rglob("last.pt"), key=lambda path: path.stat().st_mtime
    )
    state = read_checkpoint(newest)["state"]["modules"]
    assert state["best.waited"] == 2
    assert all(torch.equal(state[f"encoder.{key}"], loaded[key]) for key in loaded)


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_the_same(
    sslcli: Sslcli, coloured: Path, tmp_path: Path, steps: Steps
) -> None:
    words = ["finetune", f"run={coloured}", *FEW, "labels=8", "save_every=1"]
    assert sslcli(*words, "runtime.outputs=whole").status == 0
    steps.kill_at = ("finetune", 5)
    with pytest.raises(Killed):
        sslcli(*words, "runtime.outputs=cut")
    steps.kill_at = None
    cut, whole = (only_run(tmp_path / name) for name in ("cut", "whole"))
    assert sslcli("resume", str(cut)).status == 0
    assert records(cut) == records(whole)
    assert json.loads((cut / "results.json").read_text()) == json.loads(
        (whole / "results.json").read_text()
    )


def test_what_cannot_be_done_is_said(sslcli: Sslcli, coloured: Path, tmp_path: Path) -> None:
    for words, wrong in (
        (["labels=41"], "class"),
        (["labels=-1"], "labels must be positive"),
        (["training.frozen_epochs=3"], "training.frozen_epochs must be below training.epochs"),
        (["training.crop_scale=[0.5,2]"], "training.crop_scale"),
        (["data=fashion_sample"], "channel"),
    ):
        outcome = sslcli("finetune", "run=last", *FEW, *words)
        assert outcome.status == 2, words
        assert wrong in outcome.err, outcome.err
    with np.load(tmp_path / "pictures.npz") as arrays:
        np.savez(
            tmp_path / "bare.npz", **{key: arrays[key] for key in arrays if key.startswith("x_")}
        )
    outcome = sslcli("finetune", "run=last", *FEW, "data=arrays", "data.root=bare.npz")
    assert outcome.status == 2
    assert "needs labels" in outcome.err


def test_its_encoder_can_be_taken_away_and_is_not_taken_for_a_pretrained_one(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    assert sslcli("finetune", "run=last", "labels=5", *FEW).status == 0
    run = run_of(tmp_path)
    assert read_encoder(run).labels == 15
    outcome = sslcli("finetune", f"run={run}", "labels=5", *FEW)
    assert outcome.status == 2
    assert "learned from 15 labels" in outcome.err
    assert sslcli("export", str(run), "--to", "safetensors").status == 0
    card = (run / "export/safetensors/MODEL_CARD.md").read_text()
    assert "labels learned from: 15" in card
    assert "pictures trained on" not in card
    assert read_encoder(run / "export/safetensors").labels == 15
