"""Minimises multinomial logistic regression on standardised features.

The objective is given in probe.py. Shapes: N images, D the features' width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sslcli.evaluation.precision import in_float64

LOSS_TOLERANCE = 1e-6
"""A fit ends where the objective is estimated to be this close to its minimum.

The estimate is half the squared gradient in the preconditioner's metric.
"""

MAX_ROUNDS, MAX_STEPS = 4, 200
"""Rounds of L-BFGS, and steps in a round; each round computes a new preconditioner."""

MIN_RIDGE = 1e-6
"""Least addition to the preconditioner's diagonal, so that float32 can solve with it."""


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Computes (x - mean) / std with the statistics (D,) of the fitted features."""

    mean: Tensor
    std: Tensor

    @classmethod
    def fit(cls, features: Tensor) -> Standardizer:
        """Fits mean and std; std is 1 where only rounding varies, which so becomes 0."""
        variance, mean = torch.var_mean(features, dim=0, correction=0)
        std = variance.sqrt()
        return cls(mean, torch.where(std > 1e-6 * mean.abs(), std, 1.0))

    def __call__(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std


class LogisticRegression:
    """Holds one data set's objective, with weights (K, D + 1), the bias last."""

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

    def loss_and_gradient(self, weights: Tensor, l2: float) -> tuple[Tensor, Tensor]:
        """Returns the objective, a float64 scalar, and its gradient (K, D + 1).

        The gradient is (softmax - one-hot)^T X / N + l2 W.
        """
        log_p = torch.log_softmax(self.design @ weights.T, dim=1)
        penalised = torch.cat([weights[:, :-1], torch.zeros_like(weights[:, -1:])], dim=1)
        # In float64: near the minimum a line search compares values that float32 rounds alike.
        mean_log_p = in_float64(log_p[self.rows, self.labels]).mean()
        loss = l2 / 2 * in_float64(penalised).square().sum() - mean_log_p
        residual = log_p.exp_()
        residual[self.rows, self.labels] -= 1
        return loss, residual.T @ self.design / len(self.rows) + l2 * penalised

    def preconditioner(self, weights: Tensor, l2: float) -> Tensor:
        """Returns lower triangular L (D + 1, D + 1); L L^T is about one class's Hessian.

        Features are correlated, pixels above all. In the coordinates V = W L the problem is well
        conditioned, and L-BFGS needs several times fewer steps. The curvature in a logit, p
        (1 - p), is that at `weights`, averaged over classes: with a weak l2 it can be tiny, and an
        assumed one would make the gradient look like that of a minimum.
        """
        p = torch.softmax(self.design @ weights.T, dim=1)
        curvature = (p * (1 - p)).mean(dim=1, keepdim=True)
        # In float64, so that rounding does not make it indefinite.
        scaled = in_float64(self.design * curvature.sqrt())
        hessian = (scaled.T @ scaled / len(scaled)).cpu()
        hessian.diagonal().add_(max(l2, MIN_RIDGE))
        lower: Tensor = torch.linalg.cholesky(hessian)
        return lower.to(self.design)

    def solve(self, l2: float, start: Tensor | None = None) -> Tensor:
        """Returns the weights that minimise the objective, by rounds of full-batch L-BFGS."""
        assert l2 > 0, f"without l2 separable classes have no minimum, got {l2}"
        shape = (self.num_classes, self.design.shape[1])
        weights = self.design.new_zeros(shape) if start is None else start
        with _full_float32():
            weights, gap = self.rounds(weights, l2)
        if gap > tolerance(l2):  # float32 may stop where rounding hides the way down
            precise, _ = self.exact.rounds(weights.to(self.exact.design), l2)
            weights = precise.to(weights)
        return weights

    def rounds(self, weights: Tensor, l2: float) -> tuple[Tensor, float]:
        """Runs L-BFGS, preconditioned anew each round, until the gap is in tolerance.

        Returns the weights and the gap: about how far the objective is above its minimum.
        """
        lower = self.preconditioner(weights, l2)
        gap = math.inf
        for _ in range(MAX_ROUNDS):
            weights = self.minimize(weights, l2, lower)
            lower = self.preconditioner(weights, l2)
            _, gradient = self.loss_and_gradient(weights, l2)
            slope = torch.linalg.solve_triangular(lower.T, gradient, upper=True, left=False)
            gap = float(slope.square().sum()) / 2
            if gap <= tolerance(l2):
                break
        return weights, gap

    @cached_property
    def exact(self) -> LogisticRegression:
        """Returns the problem in float64, on the CPU where the device has no float64."""
        problem = copy(self)
        problem.design = in_float64(self.design)
        problem.rows, problem.labels = (
            indices.to(problem.design.device) for indices in (self.rows, self.labels)
        )
        return problem

    def minimize(self, start: Tensor, l2: float, lower: Tensor) -> Tensor:
        """Runs L-BFGS once with a strong Wolfe line search, preconditioned by `lower`.

        In these coordinates the Hessian is about the identity, so the objective is about half the
        gradient's square above its minimum.
        """
        rotated = start @ lower
        optimizer = torch.optim.LBFGS(
            [rotated],
            max_iter=MAX_STEPS,
            tolerance_grad=math.sqrt(2 * tolerance(l2) / start.numel()),
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

        optimizer.step(evaluate)  # type: ignore[no-untyped-call]
        weights: Tensor = torch.linalg.solve_triangular(lower, rotated, upper=False, left=False)
        return weights


def tolerance(l2: float) -> float:
    """Returns the allowed gap to the minimum; a strong l2 gets a smaller one cheaply."""
    return LOSS_TOLERANCE / max(1.0, l2**2)


@contextmanager
def _full_float32() -> Iterator[None]:
    # Training may allow TF32, whose 10 bits would make the line search stumble.
    former = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(former)
