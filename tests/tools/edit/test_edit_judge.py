"""`sslcli edit RUN --judge` on pictures that tell their class by where they are bright."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from doubles import require_two_lines
from editing import Edit, save_two_classes, two_classes
from finished import finished_run
from PIL import Image

from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.tools.edit import judge_training


@pytest.fixture
def tested(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose data have a test part; its judges learn for 40 steps."""
    monkeypatch.setattr(judge_training, "FEWEST_STEPS", 40)
    monkeypatch.setattr(judge_training, "NUM_JUDGES", 2)
    images, labels = two_classes()
    photos = tmp_path / "tested.npz"
    parts = {"x_train": images, "y_train": labels, "x_test": images[::-1], "y_test": labels[::-1]}
    np.savez(photos, **parts, classes=np.array(["left", "right"]))
    encoder = ConvNetConfig(width=2, bottleneck=4)
    return finished_run(tmp_path / "tested", photos, DenoisingAutoencoderConfig(), encoder)


@pytest.mark.slow
def test_edits_are_judged_and_drawn(edited: Edit, run: Path, tested: Path) -> None:
    run.rename("without")
    tested.rename("run")
    outcome = edited("--judge")
    assert outcome.status == 0, outcome.err
    assert "own original nearest" in outcome.out
    found = json.loads(Path("run/edits/judged.json").read_text())
    points = {(point["way"], point["strength"]): point for point in found["points"]}
    assert len(points) == 4 * 7
    assert "right on 100.0 %" in found["protocol"]["judges"]
    near = points["codes, near", 1.0]
    assert near["target"] == 1, "a code of pixels at the class's mean is of the class"
    assert near["each"] == [1, 1]
    assert points["codes, near", 0.25]["own"] == 1
    assert points["codes, near", 0.25]["ssim"] > near["ssim"]
    for point in points.values():
        assert point["target"] + point["own"] + point["other"] == pytest.approx(1)
    for name in ("judged.png", "pictures.png"):
        with Image.open(f"run/edits/{name}") as picture:
            assert picture.width > 300
    assert edited("--judge", "--towards", "right").status == 0
    found = json.loads(Path("run/edits/class-1/judged.json").read_text())
    assert found["towards"] == "right"
    assert found["protocol"]["pictures"].startswith("12 test pictures")


def test_data_without_a_test_part_are_refused_before_training(edited: Edit, run: Path) -> None:
    fix = require_two_lines(edited("--judge"), "judged on test pictures with classes")
    assert "data.test_fraction" in fix
    assert not (run / "edits").exists()


@pytest.mark.parametrize("words", [("a.png",), ("--direction", "1=1"), ("--strength", "0")])
def test_what_judging_does_not_take_is_refused(edited: Edit, words: tuple[str, ...]) -> None:
    require_two_lines(edited("--judge", *words), "--judge edits the run's test pictures")


def test_a_picture_must_be_named(edited: Edit) -> None:
    assert save_two_classes(Path("again.npz")).exists()
    require_two_lines(edited("--towards", "left"), "no picture is named")
