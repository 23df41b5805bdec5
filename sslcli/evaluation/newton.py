"""Minimises logistic regressions of several strengths at once, by truncated Newton steps.

Shapes: S strengths of l2, N images, P features and the bias, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from sslcli.evaluation.logistic_regression import LogisticRegression
from sslcli.evaluation.precision import in_float64
from sslcli.evaluation.preconditioner import Preconditioner

LOSS_TOLERANCE = 1e-6
"""A fit ends where the objective is estimated to be this close to its minimum.

The estimate is half the squared Newton decrement, by the whole Hessian.
"""

MAX_STEPS, MAX_PRODUCTS, MAX_HALVINGS = 60, 300, 20
"""Newton steps, products with the Hessian in a step, and halvings of a step, at most."""

FORCING = 0.1
"""A step's system is solved until its residual is this part of the first."""

FIRST_READ = 5
"""Iterations before the host first asks which residuals are small; then after half as many more."""

SUFFICIENT, ROUNDING = 1e-4, 1e-8
"""The part of the slope that a step must descend, and what rounding may add to a loss."""

LARGEST = 2**25
"""Numbers in a tensor: strengths are solved together as long as N K S and S P P stay below.

About six such tensors live at once, 800 MB; more only where one strength alone is larger.
"""


def solve(
    problem: LogisticRegression,
    strengths: Sequence[float],
    start: Tensor | None = None,
    most_steps: int = MAX_STEPS,
) -> Tensor:
    """Returns the weights (S, K, P) that minimise the objective at each strength.

    Every strength begins at `start` (K, P), or at zero. As many are solved together as `LARGEST`
    allows. Where there are fewer pictures than features, it is solved in their span. `most_steps`:
    Newton steps, at most, in float32, and as many in float64.
    """
    assert min(strengths) > 0, f"without l2 separable classes have no minimum: {strengths}"
    if len(problem.labels) < problem.design.shape[1] - 1:
        narrow, basis = problem.in_span()
        begin = None if start is None else _in(basis, start)
        return _in(basis.T, solve(narrow, strengths, begin, most_steps))
    width, num_classes = problem.design.shape[1], problem.num_classes
    one = problem.design.new_zeros(num_classes, width) if start is None else start
    at_once = max(1, LARGEST // max(len(problem.labels) * num_classes, width**2))
    with _full_float32():
        parts = [
            _solve_together(problem, strengths[first : first + at_once], one, most_steps)
            for first in range(0, len(strengths), at_once)
        ]
    return torch.cat(parts)


def _in(basis: Tensor, weights: Tensor) -> Tensor:
    """Returns weights (…, P), the bias last, in the basis (P - 1, P' - 1)."""
    inner = (in_float64(weights[..., :-1]) @ basis).to(weights)
    return torch.cat([inner, weights[..., -1:]], dim=-1)


def _solve_together(
    problem: LogisticRegression, strengths: Sequence[float], start: Tensor, most_steps: int
) -> Tensor:
    """Solves in float32, and goes on in float64 where rounding hides the way down."""
    l2 = problem.design.new_tensor(strengths)
    weights, left = newton(problem, l2, start.repeat(len(strengths), 1, 1), most_steps)
    if len(left):
        exact = problem.exact
        begin, strong = weights[left].to(exact.design), l2[left].to(exact.design)
        precise, _ = newton(exact, strong, begin, most_steps)
        weights[left] = precise.to(weights)
    return weights


def newton(
    problem: LogisticRegression, l2: Tensor, weights: Tensor, most_steps: int = MAX_STEPS
) -> tuple[Tensor, Tensor]:
    """Runs truncated Newton from weights (S, K, P) until each strength's gap is in tolerance.

    A strength that is finished drops out. The host waits in `newton_direction`, for a step that was
    not tried there, and for each halving.
    Returns the weights, and the indices of strengths that are not finished. Source: Nocedal &
    Wright 2006, algorithm 7.1 (line search Newton-CG), backtracking by algorithm 3.1.
    """
    found, rows = weights.clone(), torch.arange(len(l2), device=l2.device)
    log_p = torch.log_softmax(problem.logits(weights), dim=2)
    losses = problem.losses(log_p, weights, l2)
    preconditioner, spent, num_products = None, 0, 0
    for _ in range(most_steps):
        p = log_p.exp()
        penalty = _penalty(l2, weights.shape[2])
        gradient = problem.gradient(p, weights, penalty)
        # A new preconditioner costs as much as this many products with the Hessian.
        if preconditioner is None or spent >= weights.shape[2] / (2 * weights.shape[1]):
            preconditioner, spent = Preconditioner.at(problem, p, l2), 0
        descent = _Descent(problem, (weights, log_p, losses), gradient, l2)
        read, num_products = newton_direction(
            problem, p, gradient, penalty, preconditioner, descent, num_products
        )
        spent += num_products
        weights, log_p, losses, closed = descent.finish(read)
        found[rows] = weights
        left = _indices(rows, closed, False)
        rows = rows[left]
        if not len(rows):
            break
        if len(left) < len(closed):
            weights, log_p, l2 = weights[left], log_p[:, left], l2[left]
            losses = losses[left.to(losses.device)]
            preconditioner = preconditioner.of(left)
    return found, rows


def newton_direction(
    problem: LogisticRegression,
    p: Tensor,
    gradient: Tensor,
    penalty: Tensor,
    preconditioner: Preconditioner,
    descent: _Descent,
    expected: int,
) -> tuple[list[int], int]:
    """Solves H d = -gradient by preconditioned conjugate gradients, all strengths at once.

    `descent` tries d (S, K, P) and each strength's squared residual (S,) in the preconditioner's
    metric, from `expected` iterations on. Returns what it asks of the last, as read by the host,
    and the number of iterations. A strength drops out when its residual is FORCING of the first, or
    the square is a fifth of what `descent` allows; this is read ever more rarely (FIRST_READ).
    Source: Nocedal & Wright 2006, algorithm 5.3.
    """
    found, rests = torch.zeros_like(gradient), gradient.new_zeros(len(gradient))
    rows = torch.arange(len(gradient), device=gradient.device)
    residual, direction = -gradient, torch.zeros_like(gradient)
    solved = preconditioner.solve(residual)
    search, square = solved, (residual * solved).sum(dim=(1, 2))
    target = (square * FORCING**2).maximum(descent.allowed.to(square) / 5)
    iteration, next_read = 0, FIRST_READ
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
        if iteration < next_read:
            continue
        next_read += iteration // 2 + FIRST_READ
        found[rows], rests[rows] = direction, square
        unsolved, read = (square > target).long(), []
        if iteration < expected:
            marks = unsolved.tolist()
        else:  # tried in vain it costs a product; else the host waits once for both
            asked = descent.try_whole(found, rests)
            both = torch.cat([asked, unsolved.to(asked)]).tolist()
            read, marks = both[: len(asked)], both[len(asked) :]
        left = _indices(rows, marks, True)
        if not len(left) or iteration >= MAX_PRODUCTS:
            return read or descent.try_whole(found, rests).tolist(), iteration
        if len(left) < len(rows):
            rows = rows[left]
            p, preconditioner = p[:, left], preconditioner.of(left)
            penalty, residual, direction = penalty[left], residual[left], direction[left]
            search, square, target = search[left], square[left], target[left]


class _Descent:
    """Takes a step from weights (S, K, P), halved where it does not descend enough.

    `now` is the weights, their log-probabilities (N, S, K) and losses (S,).
    """

    def __init__(
        self,
        problem: LogisticRegression,
        now: tuple[Tensor, Tensor, Tensor],
        gradient: Tensor,
        l2: Tensor,
    ) -> None:
        self.allowed = tolerance(in_float64(l2))
        self._problem, self._now, self._gradient, self._l2 = problem, now, gradient, l2

    def try_whole(self, direction: Tensor, rest: Tensor) -> Tensor:
        """Tries the whole step to the inexact minimum, which leaves squared residuals `rest`.

        Returns what the host must know (1 + S,), int64: how many strengths are too steep there, and
        whether each is close to its minimum.
        """
        self._direction, self._change = direction, self._problem.logits(direction)
        self._slope = in_float64(self._gradient * direction).sum(dim=(1, 2))
        # The quadratic model's decrease, and what its inexact minimum leaves.
        self._close = in_float64(rest) / 2 - self._slope / 2 <= self.allowed
        self._size = torch.ones_like(self._slope)
        return self._try()

    def finish(self, read: list[int]) -> tuple[Tensor, Tensor, Tensor, list[bool]]:
        """Halves the steps that are too steep, by what the host has `read` of `try_whole`.

        Returns the three after the step, and which strengths are close to their minimum.
        """
        for _ in range(MAX_HALVINGS - 1):
            if not read[0]:
                break
            self._size = torch.where(self._steep, self._size / 2, self._size)
            read = self._try().tolist()
        moved, moved_p, moved_losses = self._moved
        if read[0]:
            weights, log_p, losses = self._now
            moved_losses = torch.where(self._steep, losses, moved_losses)
            keep = self._steep.to(weights.device)[:, None]
            moved = torch.where(keep[..., None], weights, moved)
            moved_p = torch.where(keep, log_p, moved_p)
        return moved, moved_p, moved_losses, [bool(ready) for ready in read[1:]]

    def _try(self) -> Tensor:
        weights, log_p, losses = self._now
        step = self._size.to(weights)
        moved = weights + step[:, None, None] * self._direction
        # Softmax takes log-probabilities for logits: they differ by a shift.
        moved_p = torch.log_softmax(log_p + step[:, None] * self._change, dim=2)
        moved_losses = self._problem.losses(moved_p, moved, self._l2)
        rounding = ROUNDING * (1 + losses.abs())
        self._steep = moved_losses > losses + SUFFICIENT * self._size * self._slope + rounding
        self._moved = moved, moved_p, moved_losses
        return torch.cat([self._steep.sum()[None], self._close.long()])


def _indices(beside: Tensor, values: Sequence[int], wanted: bool) -> Tensor:
    """Returns where the host's `values` are `wanted`, on the device of `beside`."""
    chosen = [index for index, value in enumerate(values) if value == wanted]
    return torch.tensor(chosen, dtype=torch.int64, device=beside.device)


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
