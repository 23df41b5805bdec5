"""Snapshots: what `pretrain` keeps of chosen epochs, what evaluates one, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from doubles import (
    TINY_WITHOUT_LIMIT,
    Killed,
    Sslcli,
    Steps,
    facts,
    only_run,
    records,
    require_two_lines,
)
from safetensors.torch import load_file

import sslcli as package
from sslcli.data.arrays import ArraysConfig
from sslcli.evaluation.collapse import effective_rank
from sslcli.runs.diagnostics import read_diagnostics
from sslcli.runs.evaluations import read_evaluations
from sslcli.runs.results import read_results
from sslcli.trained.encoder_files import kept_snapshots

KEEPING = ["snapshots=[1,3]", "snapshot_every=2"]
WORDS = [*TINY_WITHOUT_LIMIT, "data=arrays", "epochs=4", "knn_every=1", "keep_last=9"]
STEPS = 7
"""Of an epoch: there are 120 pictures."""
FEW = ["l2=[1e-1]", "baselines=false", "runtime.threads=1"]


@pytest.fixture(scope="module")
def source(
    command_line: Callable[..., int],
    coloured_source: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run that kept the encoders of all its four epochs."""
    outputs = tmp_path_factory.mktemp("source")
    data = f"data.root={coloured_source}/pictures.npz"
    words = [*WORDS, *KEEPING, data, f"runtime.outputs={outputs}"]
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)
        assert command_line("pretrain", *words) == 0
    return only_run(outputs)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)  # slow to draw


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Path:
    """A copy of it, where `sslcli` looks."""
    return Path(shutil.copytree(source, tmp_path / "outputs/pretrain/simclr-arrays/run"))


def weights(run: Path) -> dict[str, bytes]:
    """The finished encoder and the snapshots, by their path in the run's folder."""
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*.safetensors")}


def test_snapshots_are_the_encoder_as_it_was_after_those_epochs(source: Path) -> None:
    assert kept_snapshots(source) == [1, 2, 3, 4]
    for epoch in (1, 2, 3, 4):
        checkpoint = source / f"pretrain/step-{STEPS * epoch:08}.pt"
        if epoch == 4:
            checkpoint = source / "pretrain/last.pt"
        state = torch.load(checkpoint, weights_only=True)["state"]["modules"]
        kept = load_file(source / f"snapshots/epoch-{epoch}/encoder.safetensors")
        assert kept
        assert all(state[f"encoder.{name}"].equal(tensor) for name, tensor in kept.items())
    described = (source / "snapshots/epoch-1/encoder.json").read_text()
    assert described == (source / "encoder.json").read_text()
    assert not list(source.rglob(".*.tmp"))


def test_keeping_changes_nothing_else(sslcli: Sslcli, source: Path, coloured_source: Path) -> None:
    data = f"data.root={coloured_source}/pictures.npz"
    assert sslcli("pretrain", *WORDS, data).status == 0
    plain = only_run(Path("outputs"))
    assert facts(plain)["identity"] == facts(source)["identity"]
    assert records(plain) == records(source)
    assert weights(plain) == {"encoder.safetensors": weights(source)["encoder.safetensors"]}
    assert not (plain / "snapshots").exists()


def test_a_killed_run_keeps_its_snapshots_and_ends_with_the_same(
    sslcli: Sslcli, source: Path, coloured_source: Path, steps: Steps
) -> None:
    data = f"data.root={coloured_source}/pictures.npz"
    steps.kill_at = ("SimCLR", 2 * STEPS + 2)
    with pytest.raises(Killed):
        sslcli("pretrain", *WORDS, *KEEPING, data, "save_every=1.5")
    killed = only_run(Path("outputs"))
    assert facts(killed)["step"] < 2 * STEPS, "the second snapshot is ahead of the checkpoint"
    assert kept_snapshots(killed) == [1, 2]
    (killed / "snapshots/epoch-2/encoder.safetensors").write_bytes(b"half")
    steps.kill_at = None
    assert sslcli("resume", str(killed)).status == 0
    assert weights(killed) == weights(source)


def test_linear_eval_measures_the_snapshot_and_says_which(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    for words in (["at=1"], ["at=3"], []):
        outcome = sslcli("linear-eval", "run=last", *words, *FEW)
        assert outcome.status == 0, outcome.err
        assert ("up to epoch 1: " in outcome.out) == (words == ["at=1"])
    labels = ("simclr-arrays-epoch-1", "simclr-arrays-epoch-3", "simclr-arrays")
    first, third, last = (only_run(tmp_path / f"outputs/linear-eval/{label}") for label in labels)
    assert len({facts(folder)["identity"] for folder in (first, third, last)}) == 3
    results = read_results(first)
    assert results.settings["epoch"] == 1
    assert "encoder output after epoch 1," in str(results.protocol.details["features"])
    assert "epoch" not in read_results(last).settings
    evaluations, _ = read_evaluations(run)
    assert [one.settings.get("epoch") for one in evaluations] == [1, 3, None]
    shutil.copy(run / "snapshots/epoch-1/encoder.safetensors", run)
    assert sslcli("linear-eval", "run=last", "seed=0", *FEW).status == 0
    (again,) = (path for path in last.parent.iterdir() if path != last)
    assert read_results(again).rows[0].scores == results.rows[0].scores
    assert read_results(again).rows[0].scores != read_results(last).rows[0].scores


def test_diagnose_embed_and_load_encoder_take_the_snapshot(sslcli: Sslcli, run: Path) -> None:
    assert sslcli("diagnose", "last", "--at", "2", "--device", "cpu").status == 0
    outcome = sslcli("embed", "last", "--at", "2", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    splits = ArraysConfig(root=root_of(run)).load(lambda items, *_: items)
    encoder = package.load_encoder(run, at=2)
    found = read_diagnostics(run, 2)
    assert found is not None
    assert found.epoch == 2
    expected = effective_rank(encoder.features(splits.val.images[:]))
    assert found.scores.effective_rank == pytest.approx(expected)
    assert found.of_views is not None, "the method's views need no training"
    assert "after epoch 2" in found.protocol["features"]
    assert read_diagnostics(run) is None
    assert splits.test is not None
    with np.load(run / "embeddings/test-pca-epoch-2/features.npz") as content:
        features = encoder.features(splits.test.images[:]).numpy()
        np.testing.assert_allclose(content["features"], features, rtol=1e-5)
        assert "after epoch 2" in json.loads(str(content["protocol"]))["features"]


@pytest.mark.slow
def test_finetuning_begins_with_the_snapshot(sslcli: Sslcli, run: Path, tmp_path: Path) -> None:
    words = ["training.steps=1", "training.epochs=1", "optim.lr=1e-12", "runtime.threads=1"]
    outcome = sslcli("finetune", "run=last", "at=3", *words)
    assert outcome.status == 0, outcome.err
    tuned = only_run(tmp_path / "outputs/finetune/simclr-arrays-epoch-3")
    assert read_results(tuned).settings["epoch"] == 3
    begun, ended, finished = (
        load_file(folder / "encoder.safetensors")
        for folder in (run / "snapshots/epoch-3", tuned, run)
    )
    weight = "blocks.0.weight"
    torch.testing.assert_close(ended[weight], begun[weight], rtol=0, atol=1e-9)
    assert (begun[weight] - finished[weight]).abs().max() > 1e-6
    outcome = sslcli("finetune", "run=last", "at=3", "init=random")
    require_two_lines(outcome, "at must be null where init=random")


def test_a_label_curve_is_that_of_the_snapshot(sslcli: Sslcli, run: Path, tmp_path: Path) -> None:
    words = ["kinds=[linear_probe]", "labels=[1.0]", "l2=[1e-1]", "runtime.threads=1"]
    found = []
    for at in (["at=1"], []):
        assert sslcli("label-curve", "run=last", *at, *words).status == 0
        found.append(read_evaluations(run)[0][-1])
    assert [one.settings for one in found] == [{"epoch": 1}, {}]
    curve = only_run(tmp_path / "outputs/label-curve/simclr-arrays-epoch-1")
    assert "outputs after epoch 1," in str(read_results(curve).protocol.details["linear_probe"])


def test_an_export_of_a_snapshot_is_its_own_and_says_so(sslcli: Sslcli, run: Path) -> None:
    for words in (["at=2"], []):
        assert sslcli("linear-eval", "run=last", *words, *FEW).status == 0
    outcome = sslcli("export", "last", "--to", "safetensors", "--at", "2")
    assert outcome.status == 0, outcome.err
    folder = run / "export/safetensors-epoch-2"
    kept = load_file(run / "snapshots/epoch-2/encoder.safetensors")
    exported = load_file(folder / "encoder.safetensors")
    assert all(torch.equal(exported[name], value) for name, value in kept.items())
    card = (folder / "MODEL_CARD.md").read_text()
    assert "trained by simclr, as it was after epoch 2" in card
    assert card.count("`linear-eval`") == 1, "not that of the finished encoder"


def root_of(run: Path) -> str:
    text = (run / "config.yaml").read_text()
    (line,) = (line for line in text.splitlines() if line.strip().startswith("root: "))
    return line.partition("root: ")[2]


def test_an_epoch_that_was_not_kept_is_refused(sslcli: Sslcli, run: Path) -> None:
    shutil.rmtree(run / "snapshots/epoch-2")
    commands = (
        ["linear-eval", "run=last", "at=2", *FEW],
        ["diagnose", "last", "--at", "2"],
        ["embed", "last", "--at", "2"],
        ["finetune", "run=last", "at=2"],
        ["label-curve", "run=last", "at=2"],
        ["export", "last", "--to", "safetensors", "--at", "2"],
    )
    for words in commands:
        outcome = sslcli(*words)
        assert outcome.status == 2
        require_two_lines(outcome, "no snapshot of epoch 2; it has those of 1, 3, 4")
    shutil.rmtree(run / "snapshots")
    outcome = sslcli("linear-eval", "run=last", "at=1", *FEW)
    assert "snapshots=[" in require_two_lines(outcome, "kept no snapshot")
    assert not Path("outputs/linear-eval").exists()
    assert not (run / "diagnostics").exists()


def test_an_unfinished_run_is_evaluated_by_name_and_is_not_the_last(
    sslcli: Sslcli, run: Path
) -> None:
    (run / "encoder.json").unlink()
    (run / "encoder.safetensors").unlink()
    assert "no run with an encoder" in sslcli("linear-eval", "run=last", "at=1", *FEW).err
    outcome = sslcli("linear-eval", "run=run", "at=1", *FEW)
    assert outcome.status == 0, outcome.err
    assert sslcli("diagnose", "run", "--at", "1", "--device", "cpu").status == 0


@pytest.mark.parametrize(
    "word", ["snapshots=[0]", "snapshots=[1,5]", "snapshot_every=-1", "snapshot_every=5"]
)
def test_an_epoch_that_the_run_never_reaches_is_refused(sslcli: Sslcli, word: str) -> None:
    outcome = sslcli("pretrain", "epochs=4", word)
    assert outcome.status == 2
    require_two_lines(outcome, word.partition("=")[0], "epochs=4")


def test_the_figure_and_the_page_say_what_each_measure_would_choose(
    sslcli: Sslcli, run: Path
) -> None:
    assert (run / "figures/snapshots.png").stat().st_size > 0
    measured = [record for record in records(run) if "effective_rank" in record]
    assert len([record for record in measured if {"lidar", "knn_accuracy"} <= record.keys()]) == 4
    assert sslcli("diagnose", "last", "--at", "2", "--device", "cpu").status == 0
    assert sslcli("report", "last").status == 0
    page = (run / "report.html").read_text()
    for words in ("Which epoch", "kept after the epochs 1, 2, 3, 4", "LiDAR", "after epoch 2"):
        assert words in page
    assert "at=4" in page
