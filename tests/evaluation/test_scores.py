"""Accuracies and the confusion matrix, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sslcli.evaluation.scores import (
    confusion_matrix,
    mean_and_interval,
    per_class_accuracy,
    top_k_accuracy,
)

SCORES = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.6, 0.3, 0.1]])
LABELS = torch.tensor([0, 1, 0, 2])


@pytest.mark.parametrize(("k", "expected"), [(1, 0.25), (2, 0.75), (3, 1.0)])
def test_top_k_counts_the_true_class_among_the_k_highest(k: int, expected: float):
    assert top_k_accuracy(SCORES, LABELS, k) == expected


def test_top_1_is_argmax_where_scores_are_equal():
    scores = torch.randint(0, 3, (200, 5), generator=torch.Generator().manual_seed(0)).float()
    labels = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(1))
    assert top_k_accuracy(scores, labels) == pytest.approx(
        float((scores.argmax(1) == labels).double().mean())
    )


def test_constant_scores_get_no_more_than_chance():
    labels = torch.arange(4)
    assert [top_k_accuracy(torch.zeros(4, 4), labels, k) for k in (1, 2, 4)] == [0.25, 0.5, 1.0]


def test_scores_that_are_no_number_are_never_right():
    assert top_k_accuracy(torch.full((3, 4), float("nan")), torch.tensor([0, 1, 2]), 2) == 0


def test_confusion_has_true_rows_and_predicted_columns():
    predictions = torch.tensor([0, 1, 1, 2, 0])
    labels = torch.tensor([0, 1, 0, 0, 0])
    np.testing.assert_array_equal(
        confusion_matrix(predictions, labels, 3), [[2, 1, 1], [0, 1, 0], [0, 0, 0]]
    )
    np.testing.assert_array_equal(per_class_accuracy(predictions, labels, 3), [0.5, 1.0, np.nan])


def test_the_interval_is_students() -> None:
    assert mean_and_interval([0.5]) == (0.5, None)
    mean, half = mean_and_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.303 / 3**0.5)
    for number, quantile in ((16, 2.131), (18, 2.110), (30, 2.045), (100, 1.984)):
        values = [0.0, 1.0] * (number // 2)
        _, half = mean_and_interval(values)
        assert half == pytest.approx(quantile * np.std(values, ddof=1) / number**0.5, rel=1e-3)
