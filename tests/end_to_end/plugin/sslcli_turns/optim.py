from dataclasses import dataclass

import torch

from sslcli.engine.optim_config import OptimConfig
from sslcli.settings import setting


@dataclass(kw_only=True)
class SignsConfig(OptimConfig):
    """Takes the sign of an average of gradients (Lion, Chen et al. 2023)."""

    momentum: float = setting(0.9, "share of the last average kept")

    def optimizer(self, groups):
        return Signs(groups, lr=self.lr, momentum=self.momentum)


class Signs(torch.optim.Optimizer):
    def __init__(self, groups, lr, momentum):
        super().__init__(groups, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(
                    average.sign(), alpha=group["lr"]
                )
