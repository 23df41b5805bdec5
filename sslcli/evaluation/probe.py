"""The linear probe: multinomial logistic regression on frozen features, fitted exactly and deterministically.

The objective is mean cross-entropy + (l2 / 2) * ||W||^2 on standardised features; the bias is not penalised.
scikit-learn's C is 1 / (l2 * N): the data term here is a mean, so that `l2` means the same for any number of
pictures.

Shapes: N images, D the features' width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from sslcli.evaluation.scores import top_k_accuracy

GRADIENT_TOLERANCE = 1e-4
"""L-BFGS stops where no entry of the preconditioned gradient is larger than this, over sqrt(l2) where l2 > 1.
The gradient itself is then smaller still: scikit-learn's default stopping rule, and a little more."""

CURVATURE = 0.1
"""The assumed curvature of the cross-entropy in a logit, p (1 - p): at most 1/4, and less the surer the
probe. Only speed depends on it."""

MIN_RIDGE = 1e-3
"""The least that is added to the preconditioner's diagonal: float32 rounding must not make it indefinite."""


@dataclass(frozen=True, eq=False)
class Standardizer:
    """(x - mean) / std, `mean` and `std` (D,) being those of the features it was fitted to."""

    mean: Tensor
    std: Tensor

    @classmethod
    def fit(cls, features: Tensor) -> Standardizer:
        """A dimension that never varies (up to rounding) gets std 1, and so becomes 0 instead of noise."""
        variance, mean = torch.var_mean(features, dim=0, correction=0)
        std = variance.sqrt()
        return cls(mean, torch.where(std > 1e-6 * mean.abs(), std, 1.0))

    def __call__(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier: `weight` (K, D) and `bias` (K,), on features standardised by `standardizer`."""

    weight: Tensor
    bias: Tensor
    standardizer: Standardizer

    def logits(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, K)."""
        return torch.addmm(self.bias, self.standardizer(features), self.weight.T)


@dataclass(frozen=True, eq=False)
class Selection:
    """What `select_probe` chose. `accuracies`: on the validation part, by l2, the strongest first.

    `at_edge`: the chosen l2 is the grid's smallest or largest, so a better one may lie beyond.
    """

    probe: Probe
    l2: float
    accuracies: dict[float, float]
    at_edge: bool


def fit_probe(
    features: Tensor, labels: Tensor, num_classes: int, l2: float, start: Probe | None = None
) -> Probe:
    """What minimises the objective on `features` (N, D) float32, `labels` (N,) int64, on their device.

    `start`: a probe of the same shape to begin from (on its own standardised features), for speed only.
    """
    problem = _Problem(features, labels, num_classes)
    return problem.probe(problem.solve(l2, None if start is None else _joined(start)))


def select_probe(
    train_features: Tensor,
    train_labels: Tensor,
    val_features: Tensor,
    val_labels: Tensor,
    num_classes: int,
    grid: Sequence[float],
    refit: bool = True,
    standardizer: Standardizer | None = None,
) -> Selection:
    """The l2 of `grid` that is best on the validation part, and its probe, fitted again on train + val.

    `refit=False` leaves it fitted on the training part alone, for where labels are counted; there `standardizer`, fitted to
    more pictures, needs none of their labels: a dimension that hardly varies in ten pictures would explode on others.
    The grid is walked from the strongest l2 to the weakest, each fit starting from the last; a tie goes to
    the stronger.
    Source: Kornblith et al. 2019, SimCLR (Chen et al. 2020) App. B.8: L-BFGS, no augmentation, l2 chosen on
    validation among 45 log-spaced values in 1e-6 ... 1e5, then fitted on both. Differs: the features are
    standardised, so that one grid serves encoders of any scale.
    """
    assert grid, "an empty grid has no best l2"
    assert standardizer is None or not refit, "what is fitted again is standardised again"
    problem = _Problem(train_features, train_labels, num_classes, standardizer)
    weights: Tensor | None = None
    fits: dict[float, Probe] = {}
    accuracies: dict[float, float] = {}
    for l2 in sorted(set(grid), reverse=True):
        weights = problem.solve(l2, weights)
        fits[l2] = problem.probe(weights)
        accuracies[l2] = top_k_accuracy(fits[l2].logits(val_features), val_labels)
    best = max(accuracies, key=lambda l2: accuracies[l2])  # the first of equals: the strongest
    probe = fits[best]
    if refit:
        features, labels = (
            torch.cat([train_features, val_features]),
            torch.cat([train_labels, val_labels]),
        )
        probe = fit_probe(features, labels, num_classes, best, start=probe)
    return Selection(
        probe, best, accuracies, len(accuracies) > 1 and best in (min(grid), max(grid))
    )


class _Problem:
    """One data set's objective, and what all strengths of l2 share. Weights are (K, D + 1), the bias last."""

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        standardizer: Standardizer | None = None,
    ) -> None:
        assert len(features) == len(labels), f"{len(features)} features, {len(labels)} labels"
        self.standardizer = standardizer or Standardizer.fit(features)
        self.design = torch.cat(
            [self.standardizer(features), features.new_ones(len(features), 1)], dim=1
        )
        self.rows = torch.arange(len(labels), device=labels.device)
        self.labels = labels
        self.num_classes = num_classes
        with _full_float32():
            self.gram = self.design.T @ self.design / len(features)

    def probe(self, weights: Tensor) -> Probe:
        return Probe(weights[:, :-1].contiguous(), weights[:, -1].contiguous(), self.standardizer)

    def loss_and_gradient(self, weights: Tensor, l2: float) -> tuple[Tensor, Tensor]:
        """The objective, a scalar, and its gradient (K, D + 1), (softmax - one-hot)^T X / N + l2 W."""
        log_p = torch.log_softmax(self.design @ weights.T, dim=1)
        penalised = torch.cat([weights[:, :-1], torch.zeros_like(weights[:, -1:])], dim=1)
        loss = l2 / 2 * penalised.square().sum() - log_p[self.rows, self.labels].mean()
        residual = log_p.exp_()
        residual[self.rows, self.labels] -= 1
        return loss, residual.T @ self.design / len(self.rows) + l2 * penalised

    def preconditioner(self, l2: float) -> Tensor:
        """Lower triangular L (D + 1, D + 1), L L^T being about the Hessian for one class.

        Features are correlated, pixels above all. In the coordinates V = W L the problem is round, and L-BFGS
        needs several times fewer steps (benchmarks/probe.py).
        """
        # On the CPU in float64: cheap beside one pass over the data, and some devices have no float64.
        hessian = CURVATURE * self.gram.cpu().double()
        hessian.diagonal().add_(max(l2, MIN_RIDGE))
        lower: Tensor = torch.linalg.cholesky(hessian)
        return lower.to(self.gram)

    def solve(self, l2: float, start: Tensor | None = None) -> Tensor:
        """The weights that minimise the objective, by full-batch L-BFGS with a strong Wolfe line search."""
        assert l2 > 0, f"without l2 separable classes have no minimum, got {l2}"
        lower = self.preconditioner(l2)
        shape = (self.num_classes, self.design.shape[1])
        rotated = self.design.new_zeros(shape) if start is None else start @ lower
        optimizer = torch.optim.LBFGS(
            [rotated],
            max_iter=1000,
            tolerance_grad=GRADIENT_TOLERANCE / max(1.0, math.sqrt(l2)),
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

        def evaluate() -> Tensor:
            weights = torch.linalg.solve_triangular(lower, rotated, upper=False, left=False)
            loss, gradient = self.loss_and_gradient(weights, l2)
            preconditioned = torch.linalg.solve_triangular(
                lower.T, gradient, upper=True, left=False
            )
            rotated.grad = preconditioned.contiguous()
            return loss

        with _full_float32():
            optimizer.step(evaluate)  # type: ignore[no-untyped-call]
        weights: Tensor = torch.linalg.solve_triangular(lower, rotated, upper=False, left=False)
        return weights


def _joined(probe: Probe) -> Tensor:
    return torch.cat([probe.weight, probe.bias[:, None]], dim=1)


@contextmanager
def _full_float32() -> Iterator[None]:
    # Training may allow TF32, whose 10 bits would make the line search stumble.
    former = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(former)
