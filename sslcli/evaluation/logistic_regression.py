"""Computes the objective of multinomial logistic regression, for several strengths at once.

The objective is given in probe.py. Shapes: S strengths of l2, N images, D the features' width,
P = D + 1 with the bias last, K classes.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sslcli.evaluation.precision import in_float64


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
    """Holds one data set's objective, a function of weights (S, K, P)."""

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

    @cached_property
    def exact(self) -> LogisticRegression:
        """Returns the problem in float64, on the CPU where the device has no float64."""
        problem = copy(self)
        problem.design = in_float64(self.design)
        problem.labels = self.labels.to(problem.design.device)
        return problem

    def in_span(self) -> tuple[LogisticRegression, Tensor]:
        """Returns the problem in N coordinates of the pictures' span, and its basis (D, N).

        With fewer pictures than dimensions the minimum lies there: other directions change no
        logit, and have a penalty. Source: the representer theorem (Schölkopf et al. 2001).
        """
        features = in_float64(self.design[:, :-1])
        basis = torch.linalg.qr(features.T)[0]
        problem = copy(self)
        problem.__dict__.pop("exact", None)
        coordinates = (features @ basis).to(self.design)
        problem.design = torch.cat([coordinates, self.design[:, -1:]], dim=1)
        return problem, basis

    def logits(self, weights: Tensor) -> Tensor:
        """Returns logits (N, S, K) of weights (S, K, P), by one matrix product."""
        return (self.design @ weights.flatten(0, 1).T).view(-1, *weights.shape[:2])

    def pulled_back(self, of_logits: Tensor) -> Tensor:
        """Returns what (N, S, K), derivatives in the logits, are in the weights: (S, K, P)."""
        product = of_logits.flatten(1).T @ self.design / len(self.labels)
        return product.view(*of_logits.shape[1:], -1)

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
