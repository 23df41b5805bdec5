"""Predicts numbers from frozen features by ridge regression, and scores predictions.

The objective is half the mean squared error + (l2 / 2) * ||w||^2 on standardised features; the bias
is not penalised. scikit-learn's alpha is l2 * N. All is float64. N images, D the features' width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import Probe


def fit_ridge(
    features: Tensor,
    targets: Tensor,
    strengths: Sequence[float],
    standardizer: Standardizer | None = None,
) -> list[Probe]:
    """Returns for each l2 the probe, whose logits (N, 1) are the predicted numbers.

    `features` (N, D) and `targets` (N, 1) are float64. It is solved in closed form, by Cholesky, in
    as many unknowns as there are pictures or features, whichever are fewer.
    """
    assert min(strengths) > 0, f"fewer pictures than features need an l2: {strengths}"
    assert features.dtype == targets.dtype == torch.float64
    standardizer = standardizer or Standardizer.fit(features)
    design = standardizer(features)
    centre, mean = design.mean(dim=0), targets.mean(dim=0)
    design, rest = design - centre, (targets - mean) / len(targets)
    few = len(design) < design.shape[1]
    moment = (design @ design.T if few else design.T @ design) / len(design)
    right = rest if few else design.T @ rest
    probes = []
    for l2 in strengths:
        system = moment + l2 * torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
        solved = torch.cholesky_solve(right, torch.linalg.cholesky(system))
        weight = (design.T @ solved if few else solved).T
        probes.append(Probe(weight, mean - weight @ centre, standardizer))
    return probes


def r2(predictions: Tensor, targets: Tensor) -> float:
    """Returns the share of the targets' variance that is predicted; both are (N, 1).

    Of equal targets it is 1 where all predictions are right, and else 0, as in scikit-learn.
    """
    rest = float((targets - predictions).square().sum())
    total = float((targets - targets.mean()).square().sum())
    if total == 0 or bool((targets == targets[:1]).all()):  # their mean may be rounded
        return float(rest == 0)
    return 1 - rest / total


def mean_absolute_error(predictions: Tensor, targets: Tensor) -> float:
    """Returns it in the targets' own unit."""
    return float((targets - predictions).abs().mean())
