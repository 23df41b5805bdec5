"""Ridge regression and its scores against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error as mean_absolute_error_of_sklearn
from sklearn.metrics import r2_score
from torch import Tensor

from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import select_fit
from sslcli.evaluation.regression import fit_ridge, mean_absolute_error, r2

STRENGTHS = [10.0, 0.1, 1e-6]


def pictures(count: int, width: int, seed: int = 0, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Features of different scales far from zero, and numbers in a unit of their own."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=generator, dtype=torch.float64)
    targets = 40 + 3 * features[:, :3].sum(dim=1, keepdim=True)
    targets += noise * torch.randn(count, 1, generator=generator, dtype=torch.float64)
    return features * torch.linspace(0.1, 30, width, dtype=torch.float64) + 5, targets


@pytest.mark.parametrize(("count", "width"), [(60, 7), (20, 35), (9, 9)])
@pytest.mark.parametrize("own", [True, False])
def test_ridge_is_that_of_scikit_learn(count: int, width: int, own: bool) -> None:
    features, targets = pictures(count, width)
    others, _ = pictures(50, width, seed=1)
    standardizer = Standardizer.fit(features if own else others)
    probes = fit_ridge(features, targets, STRENGTHS, None if own else standardizer)
    for l2, probe in zip(STRENGTHS, probes, strict=True):
        exact = Ridge(alpha=l2 * count, solver="svd")
        exact.fit(standardizer(features).numpy(), targets.numpy()[:, 0])
        assert probe.weight[0].numpy() == pytest.approx(exact.coef_, rel=1e-6, abs=1e-6)
        predicted = exact.predict(standardizer(others).numpy())
        assert probe.logits(others)[:, 0].numpy() == pytest.approx(predicted, rel=1e-6)


def test_equal_targets_are_predicted_as_they_are() -> None:
    features, targets = pictures(20, 5)
    (probe,) = fit_ridge(features, torch.full_like(targets, 7.5), [1e-6])
    assert probe.logits(features) == pytest.approx(7.5)
    assert probe.weight.abs().max() < 1e-12


def test_a_feature_that_does_not_vary_and_one_picture_do_no_harm() -> None:
    features, targets = pictures(20, 5)
    features[:, 2] = 3.0
    (probe,) = fit_ridge(features, targets, [1e-6])
    assert probe.weight[0, 2] == 0
    (probe,) = fit_ridge(features[:1], targets[:1], [1.0])
    assert probe.logits(features) == pytest.approx(targets[0].item())


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.normal(100, 5, (30, 1))
    predictions = targets + rng.normal(0, 0.5 + 4 * seed, (30, 1))
    of_ours = torch.from_numpy(predictions), torch.from_numpy(targets)
    assert r2(*of_ours) == pytest.approx(r2_score(targets, predictions), abs=1e-12)
    error = mean_absolute_error_of_sklearn(targets, predictions)
    assert mean_absolute_error(*of_ours) == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_r2_of_equal_targets_is_that_of_scikit_learn(wrong: float) -> None:
    targets = np.full((5, 1), 3.0)
    predictions = targets + wrong * np.arange(5)[:, None]
    found = r2(torch.from_numpy(predictions), torch.from_numpy(targets))
    assert found == r2_score(targets, predictions) == float(not wrong)
    assert r2(torch.tensor([[0.1], [0.2], [0.3]]), torch.full((3, 1), 0.1)) == 0


def test_the_strength_that_is_best_on_validation_is_fitted_again_on_both() -> None:
    train, val = pictures(12, 10, noise=4.0), pictures(40, 10, seed=1, noise=4.0)
    grid = [1e-6, 0.1, 1.0, 1e4]
    found = select_fit(fit_ridge, r2, train, val, grid)
    single = {l2: r2(fit_ridge(*train, [l2])[0].logits(val[0]), val[1]) for l2 in grid}
    assert found.accuracies == single
    assert found.l2 == max(grid, key=lambda l2: single[l2]) not in (1e-6, 1e4)
    both = torch.cat([train[0], val[0]]), torch.cat([train[1], val[1]])
    assert torch.equal(found.probe.weight, fit_ridge(*both, [found.l2])[0].weight)
    alone = select_fit(fit_ridge, r2, train, val, grid, refit=False)
    assert torch.equal(alone.probe.weight, fit_ridge(*train, grid)[grid.index(found.l2)].weight)
