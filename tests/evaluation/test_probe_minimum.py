"""The probe's minimum against Newton's method in float64, and its choice among tied strengths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from sslcli.evaluation import logistic_regression, newton
from sslcli.evaluation.probe import Probe, fit_probe, middle_of_tied, select_probe

NUM_CLASSES, WIDTH = 3, 16


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)


def pictures(count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Correlated features, as pixels are; with little noise the classes are separable."""
    generator = torch.Generator().manual_seed(5)
    centres, mixing = (
        torch.randn(NUM_CLASSES, 6, generator=generator),
        torch.randn(6, WIDTH, generator=generator),
    )
    labels = torch.arange(count) % NUM_CLASSES
    hidden = centres[labels] + noise * torch.randn(count, 6, generator=generator)
    return hidden @ mixing + 0.1 * torch.randn(count, WIDTH, generator=generator), labels


def objective(weights: Tensor, design: Tensor, labels: Tensor, l2: float) -> Tensor:
    """`weights` (K, D + 1), the bias last and not penalised; float64."""
    return cross_entropy(design @ weights.T, labels) + l2 / 2 * weights[:, :-1].square().sum()


def smallest_by_newton(design: Tensor, labels: Tensor, l2: float) -> float:
    """The objective's minimum: Newton steps with the whole Hessian, halved until they descend."""
    weights = torch.zeros(NUM_CLASSES, design.shape[1], dtype=torch.float64)
    for _ in range(200):
        loss = objective(weights, design, labels, l2)
        p = torch.softmax(design @ weights.T, dim=1)
        residual = p - torch.eye(NUM_CLASSES, dtype=torch.float64)[labels]
        penalty = torch.full((design.shape[1],), l2, dtype=torch.float64)
        penalty[-1] = 0
        gradient = residual.T @ design / len(design) + penalty * weights
        curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        hessian = torch.einsum("nkl,ni,nj->kilj", curvature, design, design) / len(design)
        hessian = hessian.reshape(weights.numel(), weights.numel())
        hessian = hessian + torch.diag(penalty.repeat(NUM_CLASSES))
        # All biases together may be shifted freely: the smallest step is taken.
        step = torch.linalg.lstsq(hessian, gradient.flatten()[:, None], driver="gelsd").solution
        step = step.view_as(weights)
        size = 1.0
        while objective(weights - size * step, design, labels, l2) > loss and size > 1e-10:
            size /= 2
        weights = weights - size * step
        if float((gradient * step).sum()) < 1e-13:
            break
    return float(objective(weights, design, labels, l2))


def loss_of(probe: Probe, features: Tensor, labels: Tensor, l2: float) -> tuple[float, Tensor]:
    """The probe's objective in float64, and the design (N, D + 1) that it is measured on."""
    ones = torch.ones(len(features), 1, dtype=torch.float64)
    design = torch.cat([probe.standardizer(features).double(), ones], dim=1)
    weights = torch.cat([probe.weight, probe.bias[:, None]], dim=1).double()
    return float(objective(weights, design, labels, l2)), design


@pytest.mark.parametrize("noise", [0.3, 1.5])
@pytest.mark.parametrize("l2", [10.0, 1e-2, 1e-4, 1e-6])
def test_the_objective_is_newtons_and_scikit_learns(l2: float, noise: float) -> None:
    features, labels = pictures(150, noise)
    loss, design = loss_of(fit_probe(features, labels, NUM_CLASSES, l2), features, labels, l2)
    smallest = smallest_by_newton(design, labels, l2)
    assert loss == pytest.approx(smallest, abs=1e-6)
    assert loss > smallest - 1e-9
    model = LogisticRegression(C=1 / (l2 * len(features)), tol=1e-10, max_iter=100_000)
    model.fit(design[:, :-1].numpy(), labels.numpy())
    theirs = np.concatenate([model.coef_, model.intercept_[:, None]], axis=1)
    assert loss < float(objective(torch.tensor(theirs), design, labels, l2)) + 1e-6


GRIDS = ([1e-6], [1e-6, 10.0], [1e-6, 1e-5, 1e-4], [1e-6, 1e-1, 1e-4], [1e-4, 1e-6, 1e-1])


@pytest.mark.parametrize("noise", [0.3, 1.5])
def test_the_result_does_not_depend_on_the_grid(noise: float) -> None:
    features, labels = pictures(150, noise)
    losses = []
    for grid in GRIDS:
        # Validation labels made by the weakest probe: that is the one chosen.
        probe = fit_probe(features, labels, NUM_CLASSES, 1e-6)
        val_labels = probe.logits(features).argmax(dim=1)
        several = [l2 for l2 in grid if l2 != 1e-6]
        start = None
        for l2 in sorted(several, reverse=True):
            start = fit_probe(features, labels, NUM_CLASSES, l2, start)
        walked = fit_probe(features, labels, NUM_CLASSES, 1e-6, start)
        losses.append(loss_of(walked, features, labels, 1e-6)[0])
        selection = select_probe(
            features, labels, features, val_labels, NUM_CLASSES, grid, refit=False
        )
        assert list(selection.accuracies) == sorted(grid, reverse=True)
        assert selection.accuracies[1e-6] > 0.99
    smallest = smallest_by_newton(loss_of(walked, features, labels, 1e-6)[1], labels, 1e-6)
    assert losses == pytest.approx([smallest] * len(GRIDS), abs=1e-6)


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [
        ([0.5, 0.5, 0.5, 0.5, 0.5], 1e-3),  # all: the middle of the grid
        ([0.5, 0.5, 0.5, 0.5], 1e-2),  # of two middle ones that lie alike, the stronger
        ([0.9, 0.9, 0.1, 0.1, 0.1], 1e-2),  # of two, the one nearer the grid's middle
        ([0.1, 0.1, 0.1, 0.9, 0.9], 1e-4),
        ([0.1, 0.9, 0.9, 0.9, 0.1], 1e-3),
        ([0.9, 0.1, 0.9, 0.1, 0.9], 1e-3),
        ([0.1, 0.2, 0.3, 0.4, 0.5], 1e-5),  # no tie: the best, at the edge too
        ([0.5], 1e-1),
    ],
)
def test_of_tied_strengths_the_middle_one(accuracies: list[float], chosen: float) -> None:
    grid = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5][: len(accuracies)]
    assert middle_of_tied(dict(zip(grid, accuracies, strict=True))) == chosen
    backwards = dict(reversed(list(zip(grid, accuracies, strict=True))))
    assert middle_of_tied(backwards) == chosen


def test_validation_that_cannot_decide_says_so_and_is_no_edge() -> None:
    features, labels = pictures(90, 0.05)
    one_class = torch.zeros(30, dtype=torch.int64)
    grid = [1e-4, 1e-3, 1e-2]
    rows = torch.nonzero(labels == 0)[:, 0]
    selection = select_probe(features, labels, features[rows], one_class, NUM_CLASSES, grid)
    assert selection.undecided
    assert not selection.at_edge
    assert selection.l2 == 1e-3
    alone = select_probe(features, labels, features[rows], one_class, NUM_CLASSES, [1e-2])
    assert not alone.undecided
    two = select_probe(features, labels, features[rows], one_class, NUM_CLASSES, [1e-2, 1e-3])
    assert two.undecided
    assert not two.at_edge


@pytest.mark.parametrize("start", [None, 0.1])
def test_fewer_pictures_than_features_have_the_minimum_in_their_span(start: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 150, generator=generator)
    problem = logistic_regression.LogisticRegression(features, torch.arange(40) % 3, 3)
    begin = problem.design.new_full((3, 151), start or 0.0)
    strengths = [1e-4, 1e-1]
    short = newton.solve(problem, strengths, None if start is None else begin)
    long, left = newton.newton(
        problem.exact, torch.tensor(strengths).double(), begin.repeat(2, 1, 1).double()
    )
    assert not len(left)
    torch.testing.assert_close(short.double(), long, rtol=1e-2, atol=2e-3)
    l2 = torch.tensor(strengths).double()
    short_loss, long_loss = (
        problem.exact.losses(problem.exact.logits(weights).log_softmax(dim=2), weights, l2)
        for weights in (short.double(), long)
    )
    assert (short_loss - long_loss).abs().max() < 2e-6
