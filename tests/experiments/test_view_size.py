"""Views smaller than the stored pictures: everything that follows feeds the encoder their size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from doubles import TINY_WITHOUT_LIMIT, Sslcli, facts, only_run, require_two_lines
from PIL import Image

from sslcli.data.images import ImageSet
from sslcli.data.resize import at_resolution, resized

VIT = ["encoder.width=12", "encoder.depth=1", "encoder.patch=4"]
WORDS = ["data=arrays", "data.root=pictures.npz", *TINY_WITHOUT_LIMIT, "epochs=1"]


def store_pictures(folder: Path) -> None:
    """Stores 90 pictures of 20 pixels, of two classes that differ in brightness."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 2
    pictures = rng.integers(0, 100, (90, 20, 20, 3)) + 120 * labels[:, None, None, None]
    np.savez(
        folder / "pictures.npz",
        x_train=pictures[:60].astype(np.uint8),
        y_train=labels[:60],
        x_test=pictures[60:].astype(np.uint8),
        y_test=labels[60:],
    )


@pytest.mark.slow
def test_what_follows_a_training_on_smaller_views_feeds_their_size(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    store_pictures(tmp_path)
    trained = sslcli("pretrain", "method=mae", *WORDS, "method.views.size=12", *VIT)
    assert trained.status == 0, trained.err
    run = only_run(tmp_path / "outputs")
    assert json.loads((run / "encoder.json").read_text())["resolution"] == 12
    assert facts(run)["metrics"]["knn_accuracy"] > 0.9, "the monitor saw whole pictures"
    for command in (
        ["linear-eval", "run=last", "l2=[1e-3]", "runtime.threads=1"],
        ["embed", "last"],
        ["diagnose", "last"],
        ["export", "last", "--to", "safetensors"],
    ):
        outcome = sslcli(*command)
        assert outcome.status == 0, outcome.err
    evaluated = only_run(tmp_path / "outputs/linear-eval")
    results = json.loads((evaluated / "results.json").read_text())
    assert results["protocol"]["data_fingerprint"] == facts(run)["data"]["fingerprint"]


@pytest.mark.slow
def test_crops_of_pictures_that_are_not_square_and_middle_squares_after(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 8)):
        for number in range(count):
            kind = number % 2
            size = [(20, 40), (40, 20), (24, 24)][number % 3]
            pixels = rng.integers(0, 100, (*size, 3), dtype=np.uint8) + np.uint8(120 * kind)
            (tmp_path / "photos" / part / f"{kind}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / f"photos/{part}/{kind}/{number}.png")
    words = ["data=folder", "data.root=photos", "data.shape=cover", "data.resolution=20"]
    words += [*TINY_WITHOUT_LIMIT, "epochs=1", "method.views.size=12"]
    for method in ("sup_con", "swav"):
        trained = sslcli("pretrain", f"method={method}", *words, "knn_every=1")
        assert trained.status == 0, trained.err
        for command in (["linear-eval", "run=last", "l2=[1e-3]"], ["diagnose", "last"]):
            outcome = sslcli(*command)
            assert outcome.status == 0, outcome.err


def test_views_larger_than_what_is_stored_are_refused_before_a_picture_is_read(
    sslcli: Sslcli,
) -> None:
    words = ("data=folder", "data.root=nowhere", "data.resolution=20", "method.views.size=24")
    outcome = sslcli("pretrain", *words)
    require_two_lines(outcome, "method.views.size must be at most the stored pictures' side, 20")
    assert "data.resolution=24" in outcome.err


def test_a_fitted_picture_is_the_whole_picture_and_the_same_data() -> None:
    rng = np.random.default_rng(0)
    stored = ImageSet(rng.integers(0, 256, (9, 20, 20, 3), dtype=np.uint8), np.arange(9))
    fitted = at_resolution(stored, 12)
    assert fitted.images.shape == (9, 12, 12, 3)
    assert np.array_equal(fitted.images[4:5][0], resized(stored.images[:][4], 12))
    some = fitted.subset(np.array([7, 2]))
    assert np.array_equal(some.images[:], fitted.images[:][[7, 2]])
    assert fitted.fingerprint == stored.fingerprint
    assert some.fingerprint == stored.subset(np.array([7, 2])).fingerprint
    assert at_resolution(stored, 20) is stored
