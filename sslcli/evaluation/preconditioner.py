"""Approximates the Hessians of logistic regressions, so that their systems are solved quickly.

Shapes: S strengths of l2, N images, P features and the bias, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sslcli.evaluation.logistic_regression import LogisticRegression
from sslcli.evaluation.precision import in_float64

MIN_RIDGE, MIN_CLASS_CURVATURE = 1e-6, 1e-2
"""Least additions to the preconditioner's diagonals, so that float32 can solve with it."""


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """Approximates each strength's Hessian by B (x) (A + l2 I), B over classes, A over features.

    A (P, P) is the features' second moment, each picture weighted by its curvature p (1 - p), the
    mean over classes; B (K, K) the mean of diag(p) - p p^T, of mean curvature one. Source: the
    Kronecker factors of Martens & Grosse 2015 (K-FAC), exact here but for their independence.
    """

    root: Tensor
    """Inverses L^-1 (S, P, P) of the Cholesky factors L of A + l2 I.

    Two products with it are faster than solving with L, and stay positive definite when rounded.
    """
    between: Tensor
    """The inverses (S, K, K) of B."""

    @classmethod
    def at(cls, problem: LogisticRegression, p: Tensor, l2: Tensor) -> Preconditioner:
        """Computes it at probabilities (N, S, K)."""
        curvature = (p * (1 - p)).mean(dim=2)
        roots, identity = [], in_float64(torch.eye(problem.design.shape[1]).to(problem.design))
        for index, strength in enumerate(l2.clamp(min=MIN_RIDGE).unbind()):
            scaled = problem.design * curvature[:, index, None].sqrt()
            moment = in_float64(scaled.T @ scaled / len(scaled))
            moment.diagonal().add_(in_float64(strength))
            lower = torch.linalg.cholesky_ex(moment)[0]
            root = torch.linalg.solve_triangular(lower, identity, upper=False)
            roots.append(root.to(problem.design))
        num_classes = p.shape[2]
        q = in_float64(p).transpose(0, 1)
        classes = torch.diag_embed(q.mean(dim=1)) - q.transpose(1, 2) @ q / q.shape[1]
        mean = classes.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
        # A shift of all classes alike has no curvature in the data: it gets the mean one.
        classes = classes / mean + 1 / num_classes
        classes.diagonal(dim1=1, dim2=2).add_(MIN_CLASS_CURVATURE)
        between = torch.linalg.inv_ex(classes)[0].to(problem.design)
        return cls(torch.stack(roots), between)

    def solve(self, residual: Tensor) -> Tensor:
        """Returns the inverse times `residual` (S, K, P)."""
        return self.between @ residual @ self.root.mT @ self.root

    def of(self, rows: Tensor) -> Preconditioner:
        """Returns that of some strengths."""
        return Preconditioner(self.root[rows], self.between[rows])
