"""Segmentation by a linear probe, against slow loops and scikit-learn."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import Probe
from sslcli.evaluation.segmentation import majority, mean_iou, pixel_confusion, predicted, vectors


@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 3), (8, 8), (2, 4)])
def test_a_place_has_the_class_of_most_of_its_pixels(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    masks = rng.choice(np.array([0, 1, 2, 255], np.uint8), (5, 8, 8))
    found = majority(masks, height, width, 3)
    for place in np.ndindex(5, height, width):
        pixels = [
            int(masks[place[0], row, column])
            for row in range(8)
            for column in range(8)
            if (row * height // 8, column * width // 8) == place[1:]
        ]
        counts = Counter(value for value in pixels if value != 255)
        expected = min(counts, key=lambda one: (-counts[one], one)) if counts else 255
        assert int(found[place]) == expected


def test_mean_iou_is_scikit_learns_over_the_pixels_that_count() -> None:
    rng = np.random.default_rng(0)
    masks = rng.choice(np.array([0, 1, 2, 255], np.uint8), (4, 6, 6))
    classes = torch.from_numpy(rng.integers(0, 3, (4, 6, 6)))
    confusion = pixel_confusion(classes, masks, 3)
    counted = masks != 255
    assert confusion.sum() == counted.sum()
    expected = jaccard_score(masks[counted], classes.numpy()[counted], average="macro")
    assert mean_iou(confusion) == pytest.approx(expected, abs=1e-12)


def test_a_class_that_is_nowhere_does_not_count() -> None:
    assert mean_iou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])) == pytest.approx(
        (3 / 4 + 4 / 5) / 2
    )
    assert math.isnan(mean_iou(np.zeros((2, 2), np.int64)))


def test_logits_are_enlarged_where_they_are() -> None:
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 0, 0, 1] = 1.0  # the upper right
    standard = Standardizer(torch.zeros(2), torch.ones(2))
    probe = Probe(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.5, 0.0]), standard)
    classes = predicted(probe, maps, 8)[0]
    assert classes[:3, 6:].all()
    assert not classes[4:].any()
    assert not classes[:, :4].any()
    assert torch.equal(vectors(maps)[1], maps[0, :, 0, 1])
