"""`sslcli linear-eval`, end to end: what it measures, on which pictures, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Outcome, facts, only_run
from PIL import Image

Sslcli = Callable[..., Outcome]

FEW = ["l2=[1e-3,1e-1]", "runtime.threads=1"]


@pytest.fixture
def trained(sslcli: Sslcli, tmp_path: Path) -> Path:
    """A run on 300 small coloured pictures, with labels that a linear probe can find in the pixels."""
    rng = np.random.default_rng(0)

    def part(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        labels = np.arange(count) % 3
        images = rng.integers(0, 80, (count, 12, 12, 3))
        images[np.arange(count), :, :, labels] += 100
        return images.astype(np.uint8), labels.astype(np.int64)

    (x_train, y_train), (x_val, y_val), (x_test, y_test) = part(120), part(30), part(60)
    names = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
    values = (x_train, y_train, x_val, y_val, x_test, y_test)
    np.savez(tmp_path / "pictures.npz", **dict(zip(names, values, strict=True)))
    tiny = [word for word in TINY if not word.startswith("data.limit")]
    outcome = sslcli("pretrain", *tiny, "data=arrays", "data.root=pictures.npz")
    assert outcome.status == 0, outcome.err
    return only_run(tmp_path / "outputs/pretrain")


def test_measures_the_encoder_beside_its_baselines(sslcli: Sslcli, trained: Path, tmp_path: Path) -> None:
    outcome = sslcli("linear-eval", "run=last", *FEW)
    assert outcome.status == 0, outcome.err
    for words in (
        "trained encoder",
        "untrained encoder",
        "raw pixels",
        "linear probe",
        "kNN",
        "pretrained in",
        str(trained),
    ):
        assert words in outcome.out
    run = only_run(tmp_path / "outputs/linear-eval")
    assert facts(run)["status"] == "finished"
    assert facts(run)["metrics"]["raw_pixels_top1"] > 0.9
    results = json.loads((run / "results.json").read_text())["results"]
    assert results.keys() == {"trained_encoder", "untrained_encoder", "raw_pixels"}
    for result in results.values():
        assert result["top1"] <= result["top5"] == 1.0  # three classes
        assert sum(map(sum, result["confusion"])) == 60
        assert result["top1"] == pytest.approx(sum(result["confusion"][i][i] for i in range(3)) / 60)
        assert result["l2"] in (1e-3, 1e-1)
        assert result["protocol"]["fitted_on"] == "120 training + 30 validation labels"
    assert results["trained_encoder"]["width"] == 32
    assert results["raw_pixels"]["width"] == 12 * 12 * 3
    assert (run / "figures/confusion.png").exists()
    assert (run / "confusion.csv").exists()
    (link,) = (json.loads(line) for line in (trained / "evaluations.jsonl").read_text().splitlines())
    assert link["run"] == str(run)
    assert link["top1"] == results["trained_encoder"]["top1"]


def test_same_seed_same_numbers_and_rerun_says_so(sslcli: Sslcli, trained: Path) -> None:
    assert sslcli("linear-eval", f"run={trained}", "labels=5", *FEW).status == 0
    outcome = sslcli("rerun", "last")
    assert outcome.status == 0, outcome.out
    assert "identical" in outcome.out


def test_few_labels_are_all_that_the_probe_learns_from(sslcli: Sslcli, trained: Path, tmp_path: Path) -> None:
    assert sslcli("linear-eval", "run=last", "labels=4", "baselines=false", *FEW).status == 0
    run = only_run(tmp_path / "outputs/linear-eval")
    result = json.loads((run / "results.json").read_text())["results"]["trained_encoder"]
    assert result["protocol"]["fitted_on"] == "12 training labels"
    assert result["protocol"]["knn_k"] == 12
    assert facts(run)["metrics"].keys() == {"top1", "top5", "knn", "val_top1"}


def test_transfer_to_other_data_at_the_encoders_resolution(sslcli: Sslcli, trained: Path, tmp_path: Path) -> None:
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


def test_transfer_to_pictures_of_other_channels_is_refused(sslcli: Sslcli, trained: Path) -> None:
    outcome = sslcli("linear-eval", "run=last", "data=fashion_sample", *FEW)
    assert outcome.status == 2
    assert "the pictures have 1 channels, the encoder was trained on 3" in outcome.err


def test_other_pictures_under_the_same_name_are_noticed(sslcli: Sslcli, trained: Path, tmp_path: Path) -> None:
    content = dict(np.load(tmp_path / "pictures.npz"))
    content["x_test"][0, 0, 0, 0] ^= 1
    np.savez(tmp_path / "pictures.npz", **content)
    outcome = sslcli("linear-eval", "run=last", *FEW)
    assert outcome.status == 2
    assert "the data changed since" in outcome.err


def test_data_without_labels_or_test_are_refused(sslcli: Sslcli, trained: Path, tmp_path: Path) -> None:
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
def test_a_wrong_encoder_is_never_evaluated(sslcli: Sslcli, trained: Path, damage: str) -> None:
    """No `strict=False`: one missing key, and a random network would be measured without a word."""
    weights, description = trained / "encoder.safetensors", trained / "encoder.json"
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
    outcome = sslcli("linear-eval", f"run={trained}", *FEW)
    assert outcome.status == 2
    assert ("encoder.json" if damage == "no json" else "encoder.safetensors") in outcome.err
    assert "Traceback" not in outcome.err


def test_a_run_may_be_moved_with_its_data(sslcli: Sslcli, trained: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere, with 'quotes' and ü"
    shutil.move(trained, moved)
    outcome = sslcli("linear-eval", f'run="{moved}"', *FEW)
    assert outcome.status == 0, outcome.err
