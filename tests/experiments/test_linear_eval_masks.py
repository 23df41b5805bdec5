"""`sslcli linear-eval masks=…`: a probe of places, beside its baselines, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doubles import Sslcli, facts, only_run
from PIL import Image

from sslcli.data.folder import FolderConfig
from sslcli.runs.evaluations import read_evaluations
from sslcli.runs.results import read_results

WORDS = ["data=folder", "data.root=photos", "masks=masks", "l2=[1e-3,1e-1]", "runtime.threads=1"]


@pytest.fixture
def photos(coloured: Path, tmp_path: Path) -> Path:
    """Unlabelled pictures of four squares, each bright in one channel, which its mask names."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 20)):
        for folder in ("photos", "masks"):
            (tmp_path / folder / part).mkdir(parents=True)
        for index in range(count):
            mask = rng.integers(0, 3, (2, 2)).repeat(6, axis=0).repeat(6, axis=1)
            pixels = rng.integers(0, 80, (12, 12, 3)) + 150 * np.eye(3, dtype=np.int64)[mask]
            mask[0] = 255
            Image.fromarray(pixels.astype(np.uint8)).save(
                tmp_path / "photos" / part / f"{index}.bmp"
            )
            Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "masks" / part / f"{index}.png")
    return tmp_path / "masks"


def test_places_are_probed_without_labels(
    sslcli: Sslcli, photos: Path, coloured: Path, tmp_path: Path
) -> None:
    outcome = sslcli("linear-eval", "run=last", *WORDS)
    assert outcome.status == 0, outcome.err
    assert "mean IoU" in outcome.out
    run = only_run(tmp_path / "outputs/linear-eval")
    results = read_results(run)
    names = ["trained_encoder", "untrained_encoder", "raw_pixels"]
    assert [row.name for row in results.rows] == names
    for row in results.rows:
        assert row.scores.keys() == {"miou", "pixel_accuracy", "val_miou"}
        assert sum(map(sum, row.confusion)) == 20 * 12 * 11, "255 is left out"
        right = sum(row.confusion[one][one] for one in range(3))
        assert row.scores["pixel_accuracy"] == pytest.approx(right / (20 * 12 * 11))
    pixels = results.row("raw_pixels")
    assert pixels.settings["width"] == 3 * 16
    assert pixels.scores["miou"] is not None
    assert pixels.scores["miou"] > 0.7, "the brightest channel is in the pixels"
    assert facts(run)["metrics"]["raw_pixels_miou"] == pixels.scores["miou"]
    assert results.protocol.chosen_on == "6 validation masks, by the accuracy on places"
    (evaluation,), _ = read_evaluations(coloured)
    assert evaluation.metrics["miou"] == results.row("trained_encoder").scores["miou"]


def test_masks_of_one_class_are_refused(sslcli: Sslcli, photos: Path) -> None:
    for path in photos.rglob("*.png"):
        Image.new("L", (12, 12), 1).save(path)
    outcome = sslcli("linear-eval", "run=last", "baselines=false", *WORDS)
    assert outcome.status == 2
    assert "hold 1 classes, and need two" in outcome.err


def test_validation_masks_without_a_class_are_refused(sslcli: Sslcli, photos: Path) -> None:
    for name in FolderConfig(root=str(photos.parent / "photos")).load().val.paths:
        Image.new("L", (12, 12), 255).save(photos / "train" / f"{Path(name).stem}.png")
    outcome = sslcli("linear-eval", "run=last", "baselines=false", *WORDS)
    assert outcome.status == 2
    assert "the validation masks in" in outcome.err


def test_places_are_not_pooled(sslcli: Sslcli, photos: Path) -> None:
    outcome = sslcli("linear-eval", "run=last", "pool=cls", *WORDS)
    assert outcome.status == 2
    assert "masks must be given without pool=…" in outcome.err


def test_masks_of_pictures_in_no_files_are_refused(sslcli: Sslcli, photos: Path) -> None:
    outcome = sslcli("linear-eval", "run=last", "masks=masks", "runtime.threads=1")
    assert outcome.status == 2
    assert "masks=… belong to pictures in files" in outcome.err
