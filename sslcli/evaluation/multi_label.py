"""Tells which classes a picture has from frozen features, and scores it.

Each of K classes has a logistic regression of its own; one l2 serves all. The objective of each is
mean cross-entropy + (l2 / 2) * ||w||^2 on standardised features, the bias not penalised, minimised
to about 1e-6. scikit-learn's C is 1 / (l2 * N). N images, D the features' width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sslcli.evaluation.logistic_regression import LogisticRegression, Standardizer
from sslcli.evaluation.newton import solve
from sslcli.evaluation.probe import Probe


def fit_each_class(
    features: Tensor,
    targets: Tensor,
    strengths: Sequence[float],
    standardizer: Standardizer | None = None,
) -> list[Probe]:
    """Returns for each l2 the probe, whose logits (N, K) are log-odds.

    `features` are (N, D), `targets` (N, K) bool. A class that none or all of the pictures have can
    be told by nothing: its log-odds are 0.
    """
    standardizer = standardizer or Standardizer.fit(features)
    num_classes = targets.shape[1]
    weight = features.new_zeros(len(strengths), num_classes, features.shape[1])
    bias = features.new_zeros(len(strengths), num_classes)
    # Two classes' softmax has their weights w / 2 and -w / 2, whose squares are half of w's.
    doubled = [2 * l2 for l2 in strengths]
    for number in range(num_classes):
        has = targets[:, number]
        if has.all() or not has.any():
            continue
        problem = LogisticRegression(features, has.long(), 2, standardizer)
        solved = solve(problem, doubled)
        odds = solved[:, 1] - solved[:, 0]
        weight[:, number], bias[:, number] = odds[:, :-1], odds[:, -1]
    return [Probe(*one, standardizer) for one in zip(weight, bias, strict=True)]


def average_precision(scores: Tensor, has: Tensor) -> float:
    """Returns the sum over thresholds of precision times the gain in recall; nan of no positives.

    `scores` (N,) are larger where the class is likelier; `has` (N,) is bool. Pictures of one score
    pass the threshold together. Source: scikit-learn's average_precision_score.
    """
    scores, has = scores.cpu(), has.cpu()
    num_positives = int(has.sum())
    if not num_positives:
        return math.nan
    ordered, order = scores.sort(descending=True)
    last = torch.ones_like(has)
    last[:-1] = ordered[:-1] != ordered[1:]
    rank = last.nonzero()[:, 0]
    found = has[order].double().cumsum(0)[rank]
    gain = torch.diff(found, prepend=found.new_zeros(1)) / num_positives
    return float((gain * found / (rank.to(found) + 1)).sum())


def average_precisions(scores: Tensor, targets: Tensor) -> list[float]:
    """Returns each class's (K), nan where no picture has it; both are (N, K)."""
    return [average_precision(one, has) for one, has in zip(scores.T, targets.T, strict=True)]


def mean_average_precision(scores: Tensor, targets: Tensor) -> float:
    """Returns the mean over the classes that some picture has; nan where there are none."""
    found = [value for value in average_precisions(scores, targets) if not math.isnan(value)]
    return sum(found) / len(found) if found else math.nan
