"""Several classes a picture: logistic regressions and average precision against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.multi_label import (
    average_precision,
    average_precisions,
    fit_each_class,
    mean_average_precision,
)
from sslcli.evaluation.probe import select_fit


def pictures(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features of width 6, and four classes, each told by some of them, rare to frequent."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 6, generator=generator)
    noise = torch.randn(count, 4, generator=generator)
    return 3 * features + 1, features[:, :4] + noise > torch.tensor([-0.5, 0.0, 0.5, 1.0])


def objective(weight: Tensor, bias: Tensor, features: Tensor, has: Tensor, l2: float) -> float:
    logits = features.double() @ weight.double() + bias.double()
    loss = binary_cross_entropy_with_logits(logits, has.double())
    return float(loss + l2 / 2 * weight.double().square().sum())


@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
def test_each_class_has_the_regression_of_scikit_learn(l2: float) -> None:
    features, targets = pictures(200)
    (probe,) = fit_each_class(features, targets, [l2])
    design = Standardizer.fit(features)(features)
    for number in range(4):
        exact = LogisticRegression(C=1 / (l2 * 200), tol=1e-10, max_iter=1000)
        exact.fit(design.numpy(), targets[:, number].numpy())
        weights = torch.from_numpy(exact.coef_[0]), torch.tensor(exact.intercept_[0])
        smallest = objective(*weights, design, targets[:, number], l2)
        ours = probe.weight[number], probe.bias[number]
        assert objective(*ours, design, targets[:, number], l2) == pytest.approx(smallest, abs=1e-6)


def test_several_strengths_are_fitted_as_each_alone() -> None:
    features, targets = pictures(80)
    for l2, probe in zip((1.0, 0.01), fit_each_class(features, targets, [1.0, 0.01]), strict=True):
        (alone,) = fit_each_class(features, targets, [l2])
        assert torch.allclose(probe.weight, alone.weight, atol=2e-3)


def test_a_class_without_positives_in_training_has_no_say() -> None:
    features, targets = pictures(40)
    targets[:, 1], targets[:, 2] = False, True
    (probe,) = fit_each_class(features, targets, [1e-6])
    logits = probe.logits(features)
    assert (logits[:, 1:3] == 0).all()
    assert average_precision(logits[:, 1], torch.arange(40) < 10) == 0.25, "all tied: the share"


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_scikit_learn(levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, has = rng.integers(0, levels, (60, 3)).astype(np.float32), rng.random((60, 3)) < 0.3
    ours = average_precisions(torch.from_numpy(scores), torch.from_numpy(has))
    each = [average_precision_score(has[:, k], scores[:, k]) for k in range(3)]
    assert ours == pytest.approx(each, abs=1e-12)
    mean = mean_average_precision(torch.from_numpy(scores), torch.from_numpy(has))
    assert mean == pytest.approx(average_precision_score(has, scores, average="macro"), abs=1e-12)


def test_the_mean_is_over_classes_that_some_picture_has() -> None:
    scores, has = torch.tensor([[0.9, 1.0], [0.1, 2.0]]), torch.tensor([[False, False], [True] * 2])
    assert mean_average_precision(scores, has) == 0.75
    has[:, 1] = False
    assert mean_average_precision(scores, has) == 0.5
    assert math.isnan(average_precisions(scores, has)[1])
    assert math.isnan(mean_average_precision(scores, torch.zeros_like(has)))


def test_one_strength_serves_all_classes_and_is_the_best_on_validation() -> None:
    train, val = pictures(40), pictures(200, seed=1)
    grid = [1e-5, 1e-1, 10.0]
    found = select_fit(fit_each_class, mean_average_precision, train, val, grid)
    assert found.l2 == max(grid, key=lambda l2: found.accuracies[l2])
    assert len(set(found.accuracies.values())) > 1
    both = torch.cat([train[0], val[0]]), torch.cat([train[1], val[1]])
    (again,) = fit_each_class(*both, [found.l2])
    assert torch.equal(found.probe.weight, again.weight)
