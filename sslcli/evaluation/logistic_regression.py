"""Minimises multinomial logistic regression on standardised features, several strengths at once.

The objective is given in probe.py. Shapes: S strengths of l2, N images, D the features' width,
P = D + 1 with the bias, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sslcli.evaluation.precision import in_float64

LOSS_TOLERANCE = 1e-6
"""A fit ends where the objective is estimated to be this close to its minimum.

The estimate is half the squared Newton decrement.
"""

MAX_STEPS, MAX_PRODUCTS, MAX_HALVINGS = 60, 300, 20
"""Newton steps, products with the Hessian in a step, and halvings of a step, at most."""

FORCING = 0.1
"""A step's system is solved until its residual is this part of the first."""

FIRST_READ, READ_EVERY = 5, 20
"""Iterations before the host first asks which residuals are small, and between its questions."""

SUFFICIENT, ROUNDING = 1e-4, 1e-8
"""The part of the slope that a step must descend, and what rounding may add to a loss."""

MIN_RIDGE, MIN_CLASS_CURVATURE = 1e-6, 1e-2
"""Least additions to the preconditioner's diagonals, so that float32 can solve with it."""

LARGEST = 2**25
"""Numbers in a tensor: strengths are solved together as long as N K S and S P P stay below.

About six such tensors live at once, 800 MB; more only where one strength alone is larger.
"""


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
    """Holds one data set's objective, with weights (S, K, P): S strengths, P = D + 1, bias last."""

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
        self.labels = labels
        self.num_classes = num_classes

    def solve(self, strengths: Sequence[float], start: Tensor | None = None) -> Tensor:
        """Returns the weights (S, K, P) that minimise the objective at each strength.

        `start` (K, P) is where every strength begins; without it, at zero. Strengths are solved
        together, as many as `LARGEST` allows.
        """
        assert min(strengths) > 0, f"without l2 separable classes have no minimum: {strengths}"
        width = self.design.shape[1]
        one = self.design.new_zeros(self.num_classes, width) if start is None else start
        at_once = max(1, LARGEST // max(len(self.labels) * self.num_classes, width**2))
        with _full_float32():
            parts = [
                self.solve_together(strengths[first : first + at_once], one)
                for first in range(0, len(strengths), at_once)
            ]
        return torch.cat(parts)

    def solve_together(self, strengths: Sequence[float], start: Tensor) -> Tensor:
        """Solves in float32, and goes on in float64 where rounding hides the way down."""
        l2 = self.design.new_tensor(strengths)
        weights, finished = newton(self, l2, start.expand(len(strengths), *start.shape).clone())
        if not all(finished):
            left = [index for index, ready in enumerate(finished) if not ready]
            exact = self.exact
            precise, _ = newton(exact, l2[left].to(exact.design), weights[left].to(exact.design))
            weights[left] = precise.to(weights)
        return weights

    @cached_property
    def exact(self) -> LogisticRegression:
        """Returns the problem in float64, on the CPU where the device has no float64."""
        problem = copy(self)
        problem.design = in_float64(self.design)
        problem.labels = self.labels.to(problem.design.device)
        return problem

    def logits(self, weights: Tensor) -> Tensor:
        """Returns logits (N, S, K) of weights (S, K, P), by one matrix product."""
        return (self.design @ weights.flatten(0, 1).T).unflatten(1, weights.shape[:2])

    def pulled_back(self, of_logits: Tensor) -> Tensor:
        """Returns what (N, S, K), derivatives in the logits, are in the weights: (S, K, P)."""
        product = of_logits.flatten(1).T @ self.design / len(self.labels)
        return product.unflatten(0, of_logits.shape[1:])

    def losses(self, log_p: Tensor, weights: Tensor, l2: Tensor) -> Tensor:
        """Returns the objectives (S,), float64, of log-probabilities (N, S, K)."""
        # In float64: near the minimum steps are compared whose values float32 rounds alike.
        size = in_float64(weights[..., :-1]).square().sum(dim=(1, 2))
        index = self.labels[:, None, None].expand(-1, log_p.shape[1], 1)
        fit = in_float64(log_p.gather(2, index)).mean(dim=(0, 2))
        return in_float64(l2) / 2 * size - fit

    def gradient(self, p: Tensor, weights: Tensor, penalty: Tensor) -> Tensor:
        """Returns (softmax - one-hot)^T X / N + l2 W, (S, K, P)."""
        index = self.labels[:, None, None].expand(-1, p.shape[1], 1)
        residual = p.scatter_add(2, index, p.new_full((1, 1, 1), -1.0).expand(index.shape))
        return self.pulled_back(residual) + penalty * weights


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """Approximates each strength's Hessian by B (x) (A + l2 I), B over classes, A over features.

    A (P, P) is the features' second moment, each picture weighted by its curvature p (1 - p), the
    mean over classes; B (K, K) the mean of diag(p) - p p^T, of mean curvature one. Source: the
    Kronecker factors of Martens & Grosse 2015 (K-FAC), exact here but for their independence.
    """

    lower: Tensor
    """Cholesky factors (S, P, P) of A + l2 I."""
    between: Tensor
    """The inverses (S, K, K) of B."""

    @classmethod
    def at(cls, problem: LogisticRegression, p: Tensor, l2: Tensor) -> Preconditioner:
        """Computes it at probabilities (N, S, K)."""
        curvature = (p * (1 - p)).mean(dim=2)
        factors = []
        for index, strength in enumerate(l2.clamp(min=MIN_RIDGE).unbind()):
            scaled = problem.design * curvature[:, index, None].sqrt()
            moment = in_float64(scaled.T @ scaled / len(scaled))
            moment.diagonal().add_(in_float64(strength))
            factors.append(torch.linalg.cholesky_ex(moment)[0].to(problem.design))
        num_classes = p.shape[2]
        q = in_float64(p).transpose(0, 1)
        classes = torch.diag_embed(q.mean(dim=1)) - q.transpose(1, 2) @ q / q.shape[1]
        mean = classes.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
        # A shift of all classes alike has no curvature in the data: it gets the mean one.
        classes = classes / mean + 1 / num_classes
        classes.diagonal(dim1=1, dim2=2).add_(MIN_CLASS_CURVATURE)
        between = torch.linalg.inv_ex(classes)[0].to(problem.design)
        return cls(torch.stack(factors), between)

    def solve(self, residual: Tensor) -> Tensor:
        """Returns the inverse times `residual` (S, K, P)."""
        return torch.cholesky_solve((self.between @ residual).mT, self.lower).mT

    def of(self, rows: list[int]) -> Preconditioner:
        """Returns that of some strengths."""
        return Preconditioner(self.lower[rows], self.between[rows])


def newton(problem: LogisticRegression, l2: Tensor, weights: Tensor) -> tuple[Tensor, list[bool]]:
    """Runs truncated Newton from weights (S, K, P) until each strength's gap is in tolerance.

    A strength that is finished drops out. The host waits once a step, and in `newton_direction`.
    Returns the weights, and which strengths are finished. Source: Nocedal & Wright 2006, algorithm
    7.1 (line search Newton-CG), backtracking by algorithm 3.1.
    """
    found, rows = weights, list(range(len(l2)))
    log_p = torch.log_softmax(problem.logits(weights), dim=2)
    losses = problem.losses(log_p, weights, l2)
    preconditioner, spent = None, 0
    for _ in range(MAX_STEPS):
        p = log_p.exp()
        penalty = _penalty(l2, weights.shape[2])
        gradient = problem.gradient(p, weights, penalty)
        # A new preconditioner costs as much as this many products with the Hessian.
        if preconditioner is None or spent >= weights.shape[2] / (2 * weights.shape[1]):
            preconditioner, spent = Preconditioner.at(problem, p, l2), 0
        direction, rest, num_products = newton_direction(
            problem, p, gradient, penalty, preconditioner
        )
        spent += num_products
        slope = in_float64(gradient * direction).sum(dim=(1, 2))
        # The quadratic model's decrease, and what its inexact minimum leaves.
        close = in_float64(rest) / 2 - slope / 2 <= tolerance(in_float64(l2))
        weights, log_p, losses, closed = _descend(
            problem, (weights, log_p, losses), direction, slope, l2, close
        )
        found[rows] = weights
        left = [index for index, ready in enumerate(closed) if not ready]
        rows = [rows[index] for index in left]
        if not rows:
            break
        if len(left) < len(closed):
            weights, log_p, losses, l2 = weights[left], log_p[:, left], losses[left], l2[left]
            preconditioner = preconditioner.of(left)
    return found, [index not in rows for index in range(len(found))]


def newton_direction(
    problem: LogisticRegression,
    p: Tensor,
    gradient: Tensor,
    penalty: Tensor,
    preconditioner: Preconditioner,
) -> tuple[Tensor, Tensor, int]:
    """Solves H d = -gradient by preconditioned conjugate gradients, all strengths at once.

    Returns d (S, K, P), each strength's squared residual (S,) in the preconditioner's metric, and
    the number of iterations. A strength drops out when its residual is FORCING of the first; this
    is read every READ_EVERY iterations. Source: Nocedal & Wright 2006, algorithm 5.3.
    """
    found, rests = torch.zeros_like(gradient), gradient.new_zeros(len(gradient))
    rows, residual, direction = list(range(len(gradient))), -gradient, torch.zeros_like(gradient)
    solved = preconditioner.solve(residual)
    search, square = solved, (residual * solved).sum(dim=(1, 2))
    target = square * FORCING**2
    iteration = 0
    while True:
        iteration += 1
        change = problem.logits(search)
        change = p * (change - (p * change).sum(dim=2, keepdim=True))
        product = problem.pulled_back(change) + penalty * search
        curvature = (search * product).sum(dim=(1, 2))
        size = _ratio(square, curvature)
        direction = direction + size * search
        residual = residual - size * product
        solved = preconditioner.solve(residual)
        former, square = square, (residual * solved).sum(dim=(1, 2))
        search = solved + _ratio(square, former) * search
        if iteration % READ_EVERY != FIRST_READ % READ_EVERY:
            continue
        found[rows], rests[rows] = direction, square
        left = [index for index, more in enumerate((square > target).tolist()) if more]
        if not left or iteration >= MAX_PRODUCTS:
            return found, rests, iteration
        if len(left) < len(rows):
            rows = [rows[index] for index in left]
            p, preconditioner = p[:, left], preconditioner.of(left)
            penalty, residual, direction = penalty[left], residual[left], direction[left]
            search, square, target = search[left], square[left], target[left]


def _descend(
    problem: LogisticRegression,
    now: tuple[Tensor, Tensor, Tensor],
    direction: Tensor,
    slope: Tensor,
    l2: Tensor,
    close: Tensor,
) -> tuple[Tensor, Tensor, Tensor, list[bool]]:
    """Halves the steps that do not descend enough; `now` is weights, log p, losses.

    Returns the three after the step, and `close` as read by the host.
    """
    weights, log_p, losses = now
    change = problem.logits(direction)
    size = torch.ones_like(slope)
    for _ in range(MAX_HALVINGS):
        step = size.to(weights)
        moved = weights + step[:, None, None] * direction
        # Softmax takes log-probabilities for logits: they differ by a shift.
        moved_p = torch.log_softmax(log_p + step[:, None] * change, dim=2)
        moved_losses = problem.losses(moved_p, moved, l2)
        rounding = ROUNDING * (1 + losses.abs())
        steep = moved_losses > losses + SUFFICIENT * size * slope + rounding
        num_steep, *closed = torch.cat([steep.sum()[None], close.long()]).tolist()
        if not num_steep:
            return moved, moved_p, moved_losses, [bool(ready) for ready in closed]
        size = torch.where(steep, size / 2, size)
    keep = steep[:, None, None]
    still = torch.where(steep, losses, moved_losses)
    moved_p = torch.where(steep[:, None], log_p, moved_p)
    return torch.where(keep, weights, moved), moved_p, still, [bool(ready) for ready in closed]


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Returns (S, 1, 1); zero where a strength's residual is zero already."""
    return torch.where(below > 0, above / below, 0.0)[:, None, None]


def _penalty(l2: Tensor, width: int) -> Tensor:
    """Returns each strength's l2 (S, 1, P), which is zero for the bias."""
    penalty = l2[:, None, None].repeat(1, 1, width)
    penalty[..., -1] = 0
    return penalty


def tolerance(l2: Tensor) -> Tensor:
    """Returns the allowed gaps to the minimum; a strong l2 gets a smaller one cheaply."""
    return LOSS_TOLERANCE / l2.clamp(min=1).square()


@contextmanager
def _full_float32() -> Iterator[None]:
    # Training may allow TF32, whose 10 bits would make the line search stumble.
    former = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(former)
