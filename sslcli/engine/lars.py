"""Implements LARS, layer-wise adaptive rate scaling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    """Scales a weight's step of momentum SGD by the weight's norm.

    `v <- m v + lr t (g + wd w); w <- w - v` with `t = trust |w| / |g + wd w|`; t is 1 where either
    norm is 0, and in groups with `adapt=False`.

    Source: You et al. 2017; the update is that of SimCLR's official `lars_optimizer.py` with
    classic momentum: the learning rate is inside the velocity, which matters while it changes.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float, trust: float
    ) -> None:
        super().__init__(
            groups,
            {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": 0.0, "adapt": True},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "LARS takes no closure"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        direction = gradient.add(weight, alpha=group["weight_decay"])
        if group["adapt"]:
            weight_norm, direction_norm = weight.norm(), direction.norm()
            usable = (weight_norm > 0) & (direction_norm > 0)
            ratio = (
                group["trust"]
                * weight_norm
                / direction_norm.clamp_min(torch.finfo(weight.dtype).tiny)
            )
            direction.mul_(torch.where(usable, ratio, torch.ones_like(ratio)))
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity: Tensor = state["velocity"]
        velocity.mul_(group["momentum"]).add_(direction, alpha=group["lr"])
        weight.sub_(velocity)
