"""Scores predictions. Shapes: N images, K classes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import ImageSet


def labels_of(part: ImageSet, device: torch.device) -> Tensor:
    """Returns the part's labels (N,), int64; it must have some."""
    assert part.labels is not None
    return torch.from_numpy(part.labels).to(device)


def top_k_accuracy(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """Returns the fraction of pictures whose class has one of the k highest scores.

    `scores` are (N, K). Of equal ones the lower class goes first, so k = 1 agrees with argmax. A
    score of NaN is never right.
    """
    assert 1 <= k <= scores.shape[1], f"top-{k} of {scores.shape[1]} classes"
    true = scores.gather(1, labels[:, None])
    ahead = ~(scores <= true)
    ahead |= (scores == true) & (labels.new_ones(scores.shape).cumsum(1) - 1 < labels[:, None])
    return float((ahead.sum(dim=1) < k).double().mean())


def top_accuracies(scores: Tensor, labels: Tensor) -> dict[str, float]:
    """Returns `top1`, and `top5` where there are more than 5 classes (else it is 1)."""
    found = {"top1": top_k_accuracy(scores, labels)}
    return {**found, "top5": top_k_accuracy(scores, labels, 5)} if scores.shape[1] > 5 else found


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int) -> NDArray[np.int64]:
    """Returns counts (K, K): row the true class, column the predicted one."""
    cells = labels.cpu().numpy().astype(np.int64) * num_classes + predictions.cpu().numpy()
    return (
        np.bincount(cells, minlength=num_classes**2)
        .reshape(num_classes, num_classes)
        .astype(np.int64)
    )


def per_class_accuracy(
    predictions: Tensor, labels: Tensor, num_classes: int
) -> NDArray[np.float64]:
    """Returns each class's accuracy (K,); NaN for a class without pictures."""
    matrix = confusion_matrix(predictions, labels, num_classes)
    counts = matrix.sum(axis=1)
    return np.where(counts > 0, matrix.diagonal() / np.maximum(counts, 1), np.nan)


STUDENT_T = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
)
"""The 0.975 quantiles for 1, 2, … 15 degrees of freedom."""


def mean_and_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns the mean and half the width of its 95 % interval by Student's t.

    The latter is None for a single value, which has no spread.
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    return mean, student_t(len(values)) * statistics.stdev(values) / math.sqrt(len(values))


def student_t(num_values: int) -> float:
    """Returns the 0.975 quantile of Student's t for the mean of so many values, at least 2."""
    freedom = num_values - 1
    if freedom <= len(STUDENT_T):
        return STUDENT_T[freedom - 1]
    # Beyond the table, within 0.001: the first two terms of Abramowitz & Stegun 26.7.5.
    return 1.960 + 2.372 / freedom + 2.823 / freedom**2
