"""`sslcli linear-eval`, end to end: what it measures, on which pictures, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from doubles import TINY_WITHOUT_LIMIT, Sslcli, facts, only_run
from PIL import Image

from sslcli.runs.evaluations import read_evaluations
from sslcli.runs.results import read_results

FEW = ["l2=[1e-3,1e-1]", "runtime.threads=1"]


def test_measures_the_encoder_beside_its_baselines(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    outcome = sslcli("linear-eval", "run=last", *FEW)
    assert outcome.status == 0, outcome.err
    for words in (
        "trained encoder",
        "untrained encoder",
        "raw pixels",
        "linear probe",
        "kNN",
        "pretrained in",
        f"s: {coloured.relative_to(tmp_path)}\n",
    ):
        assert words in outcome.out
    run = only_run(tmp_path / "outputs/linear-eval")
    assert facts(run)["status"] == "finished"
    assert facts(run)["metrics"]["raw_pixels_top1"] > 0.9
    results = read_results(run)
    assert [row.name for row in results.rows] == [
        "trained_encoder",
        "untrained_encoder",
        "raw_pixels",
    ]
    for row in results.rows:
        assert row.scores.keys() == {"top1", "knn", "val_top1"}, "of three classes no top-5"
        assert sum(map(sum, row.confusion)) == 60
        right = sum(row.confusion[i][i] for i in range(3))
        assert row.scores["top1"] == pytest.approx(right / 60)
        assert row.settings["l2"] in (1e-3, 1e-1)
    assert results.protocol.trained_on == "120 training + 30 validation labels"
    assert results.row("trained_encoder").settings["width"] == 512
    assert results.row("raw_pixels").settings["width"] == 12 * 12 * 3
    assert (run / "figures/confusion.png").exists()
    assert (run / "confusion.csv").exists()
    (evaluation,), unreadable = read_evaluations(coloured)
    assert (evaluation.run, unreadable) == (str(run), [])
    assert evaluation.metrics == facts(run)["metrics"]
    assert evaluation.metrics["top1"] == results.row("trained_encoder").scores["top1"]


def test_same_seed_same_numbers_and_rerun_says_so(sslcli: Sslcli, coloured: Path) -> None:
    assert sslcli("linear-eval", f"run={coloured}", "labels=5", *FEW).status == 0
    outcome = sslcli("rerun", "last")
    assert outcome.status == 0, outcome.out
    assert "identical" in outcome.out


def test_a_rerun_compares_what_was_measured_too(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    assert (
        sslcli("label-curve", "labels=[4]", "subsets=1", "kinds=[linear_probe]", *FEW).status == 0
    )
    path = only_run(tmp_path / "outputs/label-curve") / "run.json"
    outcome = sslcli("rerun", str(path.parent))
    assert outcome.status == 0, outcome.err
    assert "identical: every final metric of" in outcome.out
    told = json.loads(path.read_text())
    path.write_text(
        json.dumps(
            {**told, "metrics": {key: value + 0.01 for key, value in told["metrics"].items()}}
        )
    )
    outcome = sslcli("rerun", str(path.parent))
    assert outcome.status == 1
    assert "different: at the end, linear_probe_12 was" in outcome.out


def test_a_few_training_pictures_are_not_outvoted_by_validation(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    words = ["data=arrays", "data.root=pictures.npz", "data.limit=21", "baselines=false"]
    assert sslcli("linear-eval", "run=last", *words, *FEW).status == 0
    results = read_results(only_run(tmp_path / "outputs/linear-eval"))
    assert results.protocol.trained_on == "21 training labels"


def test_another_network_is_no_ceiling(sslcli: Sslcli, coloured: Path, tmp_path: Path) -> None:
    words = ["init=random", "training.epochs=1", "training.steps=1", "runtime.threads=1"]
    assert sslcli("finetune", f"run={coloured}", *words).status == 0
    path = only_run(tmp_path / "outputs/finetune") / "encoder.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "config": {**described["config"], "norm": "group"}}))
    outcome = sslcli("linear-eval", f"run={coloured}", f"ceiling={path.parent}", *FEW)
    assert outcome.status == 2
    assert "trained another network" in outcome.err


def test_null_is_not_chosen_but_left_out(sslcli: Sslcli, coloured: Path) -> None:
    outcome = sslcli("linear-eval", "run=last", "data=null")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-2:] == [
        "error: data=null: data is chosen from a list",
        "fix:   leave it out, which means the same",
    ]


def test_few_labels_are_all_that_the_probe_learns_from(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    assert sslcli("linear-eval", "run=last", "labels=4", "baselines=false", *FEW).status == 0
    run = only_run(tmp_path / "outputs/linear-eval")
    protocol = read_results(run).protocol
    assert protocol.trained_on == "12 training labels"
    assert "standardised by those of 120 training pictures, without their labels" in str(
        protocol.details["probe"]
    )
    assert protocol.details["knn_k"] == 12
    assert facts(run)["metrics"].keys() == {"top1", "knn", "val_top1"}


def test_transfer_to_other_data_at_the_encoders_resolution(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    for part, count in (("train", 40), ("test", 10)):
        for name, level in (("dark", 20), ("light", 180)):
            folder = tmp_path / "folder" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(level, level + 60, (20, 25, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    outcome = sslcli("linear-eval", "run=last", "data=folder", "data.root=folder", *FEW)
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs/linear-eval")
    assert run.parent.name == "simclr-arrays-to-folder"
    assert facts(run)["metrics"]["raw_pixels_top1"] == 1.0


def test_test_pictures_that_were_trained_on_are_told(sslcli: Sslcli, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, level in (("dark", 20), ("light", 180)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(40):
            pixels = rng.integers(level, level + 60, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    data = ["data=folder", "data.root=photos", "data.resolution=12"]
    assert sslcli("pretrain", *TINY_WITHOUT_LIMIT, "knn_every=0", *data).status == 0
    words = [*data, "data.test_fraction=0.2", "baselines=false", *FEW]
    outcome = sslcli("linear-eval", "run=last", *words)
    assert outcome.status == 0, outcome.err
    (said,) = [line for line in outcome.err.splitlines() if "that the run was trained on" in line]
    assert "held out none" in said


def test_transfer_to_pictures_of_other_channels_is_refused(sslcli: Sslcli, coloured: Path) -> None:
    outcome = sslcli("linear-eval", "run=last", "data=fashion_sample", *FEW)
    assert outcome.status == 2
    assert "the pictures have 1 channels, the encoder was trained on 3" in outcome.err


def test_other_pictures_under_the_same_name_are_noticed(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    content = dict(np.load(tmp_path / "pictures.npz"))
    content["x_test"][0, 0, 0, 0] ^= 1
    np.savez(tmp_path / "pictures.npz", **content)
    outcome = sslcli("linear-eval", "run=last", *FEW)
    assert outcome.status == 2
    assert "the data changed since" in outcome.err


def test_data_without_labels_or_test_are_refused(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    images = np.zeros((40, 12, 12, 3), np.uint8)
    np.savez(tmp_path / "bare.npz", x_train=images, x_test=images)
    outcome = sslcli("linear-eval", "run=last", "data=arrays", "data.root=bare.npz", *FEW)
    assert outcome.status == 2
    assert "linear-eval needs labels" in outcome.err
    np.savez(tmp_path / "untested.npz", x_train=images, y_train=np.arange(40) % 2)
    outcome = sslcli("linear-eval", "run=last", "data=arrays", "data.root=untested.npz", *FEW)
    assert outcome.status == 2
    assert "linear-eval needs test pictures" in outcome.err


@pytest.mark.parametrize("damage", ["swapped", "truncated", "missing", "no json"])
def test_a_wrong_encoder_is_never_evaluated(sslcli: Sslcli, coloured: Path, damage: str) -> None:
    """No `strict=False`: one missing key, and a random network would be measured without a word."""
    weights, description = coloured / "encoder.safetensors", coloured / "encoder.json"
    if damage == "swapped":
        content = json.loads(description.read_text())
        content["config"]["width"] = 8
        description.write_text(json.dumps(content))
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:200])
    elif damage == "missing":
        weights.unlink()
    else:
        description.unlink()
    outcome = sslcli("linear-eval", f"run={coloured}", *FEW)
    assert outcome.status == 2
    assert ("encoder.json" if damage == "no json" else "encoder.safetensors") in outcome.err
    assert "Traceback" not in outcome.err


def test_a_run_may_be_moved_with_its_data(sslcli: Sslcli, coloured: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere, with 'quotes' and ü"
    shutil.move(coloured, moved)
    outcome = sslcli("linear-eval", f'run="{moved}"', *FEW)
    assert outcome.status == 0, outcome.err


@pytest.mark.slow
def test_the_ceiling_of_full_supervision_stands_in_the_same_table(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    words = ["training.epochs=2", "training.steps=1", "training.batch_size=8", "runtime.threads=1"]
    assert sslcli("finetune", "run=last", "init=random", "seed=7", *words).status == 0
    supervised = only_run(tmp_path / "outputs/finetune")
    outcome = sslcli("linear-eval", "run=last", f"ceiling={supervised}", "baselines=false", *FEW)
    assert outcome.status == 0, outcome.err
    assert "supervised ceiling" in outcome.out
    results = read_results(only_run(tmp_path / "outputs/linear-eval"))
    assert [row.name for row in results.rows] == ["trained_encoder", "supervised_ceiling"]
    assert results.settings["encoder_learned_from_labels"] == 0
    alone = sslcli("linear-eval", f"run={supervised}", "baselines=false", *FEW)
    assert alone.status == 0, alone.err
    assert "trained on 120 labels" in alone.out
    newest = max(
        (tmp_path / "outputs/linear-eval").rglob("results.json"),
        key=lambda path: path.stat().st_mtime_ns,
    )
    again = read_results(newest.parent)
    assert again.settings["encoder_learned_from_labels"] == 120
    assert (
        again.row("trained_encoder").scores["top1"]
        == results.row("supervised_ceiling").scores["top1"]
    )


def test_a_run_that_saw_few_labels_or_began_pretrained_is_no_ceiling(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    words = ["training.epochs=1", "training.steps=1", "runtime.threads=1"]
    assert sslcli("finetune", "run=last", "init=random", "labels=4", *words).status == 0
    few = only_run(tmp_path / "outputs/finetune")
    for run in (few, coloured):
        outcome = sslcli("linear-eval", "run=last", f"ceiling={run}", *FEW)
        assert outcome.status == 2
        assert "full supervision" in outcome.err
        assert "init=random" in outcome.err


def test_retrieval_and_few_shot_episodes_are_measured_where_they_are_asked_for(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    words = ["also=[retrieval,few_shot]", *FEW]
    refused = sslcli("linear-eval", "run=last", *words)
    assert refused.status == 2
    assert refused.err.splitlines()[-2:] == [
        "error: few-shot episodes need 20 test pictures of 5 classes, and 3 of 3 classes have so "
        "many",
        "fix:   try few_shot_ways=3",
    ]
    words += ["few_shot_ways=3", "baselines=[raw_pixels]"]
    outcome = sslcli("linear-eval", "run=last", *words)
    assert outcome.status == 0, outcome.err
    for shown in ("recall@1", "recall@10", "mAP", "1-shot", "5-shot", "600 episodes of 3 classes"):
        assert shown in outcome.out
    (run,) = [path.parent for path in (tmp_path / "outputs").rglob("results.json")]
    results = read_results(run)
    assert len(results.rows) == 2
    names = {"recall_at_1", "recall_at_5", "recall_at_10", "map"}
    names |= {f"few_shot_{k}{of}" for k in (1, 5) for of in ("", "_interval")}
    for row in results.rows:
        assert names <= row.scores.keys()
    pixels = results.row("raw_pixels").scores
    assert pixels["recall_at_1"] == 1.0, "the brightest channel is in the pixels"
    assert pixels["few_shot_5"] == 1.0
    assert names <= facts(run)["metrics"].keys()
    assert "among the other 59" in str(results.protocol.details["retrieval"])
    assert "SimpleShot" in str(results.protocol.details["few_shot"])
    shown = sslcli("report", str(run))
    assert shown.status == 0, shown.err
    pages = "".join(page.read_text() for page in run.rglob("*.html"))
    assert "recall at 1" in pages
    assert "few shot 5 interval" in pages
