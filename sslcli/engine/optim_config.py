"""Configures the optimizer and the learning rate's schedule. Does not import torch.

A config holds the learning rate that the user gave. Applied is `peak_learning_rate(batch_size)`
times the schedule, which is computed here and recorded in run.json, and never written into the
config.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from sslcli.choices import Choices
from sslcli.engine.layer_rates import layer_rates
from sslcli.errors import require
from sslcli.method import Progress
from sslcli.settings import setting

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class Scaling(Enum):
    """Names how the learning rate depends on the batch size."""

    none = "none"
    linear = "linear"
    sqrt = "sqrt"


class Schedule(Enum):
    """Names how the learning rate changes after the warm-up."""

    cosine = "cosine"
    constant = "constant"


@dataclass(kw_only=True)
class OptimConfig:
    """Holds the settings that all optimizers share."""

    lr: float = setting(0.1, "learning rate as typed; see optim.scaling for what is applied")
    scaling: Scaling = setting(
        Scaling.none,
        "apply lr (none), lr * batch_size / 256 (linear) or lr * sqrt(batch_size) (sqrt)",
    )
    weight_decay: float = setting(1e-4, "L2 penalty on the weights")
    weight_decay_end: float | None = setting(
        None,
        "where the weight decay ends, after a cosine from weight_decay on; null: it is constant",
        added_later=True,
    )
    decay_all: bool = setting(
        False, "also decay (and, for LARS, adapt) biases and the scales and shifts of norms"
    )
    warmup_epochs: float = setting(0.0, "epochs over which the learning rate rises linearly from 0")
    schedule: Schedule = setting(
        Schedule.cosine, "after the warm-up: cosine to final_lr, or constant"
    )
    final_lr: float = setting(0.0, "where the cosine ends, as a fraction of the peak")
    clip_norm: float = setting(
        0.0, "gradients are scaled down to this norm where it is exceeded; 0: never"
    )
    layer_decay: float = setting(
        1.0,
        "each block of the encoder learns at this times the rate of the next one, the last at the "
        "full rate; 1: all alike. Below 1 it keeps more of given weights",
        added_later=True,
    )

    def __post_init__(self) -> None:
        require(
            self.lr > 0, "optim.lr", self.lr, "positive", "try 0.03 to 1.0 for sgd, 1e-3 for adamw"
        )
        require(
            self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, "0 or more", "try 1e-4"
        )
        end = self.weight_decay_end
        require(
            end is None or end >= 0, "optim.weight_decay_end", end, "0 or more", "try 0.4, or null"
        )
        require(
            self.warmup_epochs >= 0,
            "optim.warmup_epochs",
            self.warmup_epochs,
            "0 or more",
            "10 is usual",
        )
        require(
            0 <= self.final_lr <= 1, "optim.final_lr", self.final_lr, "from 0 to 1", "0 is usual"
        )
        require(
            self.clip_norm >= 0, "optim.clip_norm", self.clip_norm, "0 or more", "0 never clips"
        )
        decay, must_be = self.layer_decay, "above 0 and at most 1"
        require(0 < decay <= 1, "optim.layer_decay", decay, must_be, "0.75 is usual for ViTs")

    def peak_learning_rate(self, batch_size: int) -> float:
        """Returns the learning rate at the end of the warm-up.

        Source: Chen et al. 2020 (SimCLR) §2.2 and App. B.1 (0.3 * B / 256; 0.075 * sqrt(B)).
        """
        factors = {
            Scaling.none: 1.0,
            Scaling.linear: batch_size / 256,
            Scaling.sqrt: math.sqrt(batch_size),
        }
        return self.lr * factors[self.scaling]

    def learning_rate(
        self, step: int, num_steps: int, steps_per_epoch: int, batch_size: int
    ) -> float:
        """Returns the learning rate of `step`, from 0 to `num_steps - 1`.

        A pure function, so there is no state to resume.
        """
        peak = self.peak_learning_rate(batch_size)
        warmup_steps = min(round(self.warmup_epochs * steps_per_epoch), num_steps)
        if step < warmup_steps:
            return peak * (step + 1) / warmup_steps
        if self.schedule is Schedule.constant:
            return peak
        fraction = (step - warmup_steps) / max(1, num_steps - warmup_steps)
        return peak * (
            self.final_lr + (1 - self.final_lr) * 0.5 * (1 + math.cos(math.pi * fraction))
        )

    def weight_decay_at(self, step: int, num_steps: int) -> float:
        """Returns the weight decay of `step`, from 0 to `num_steps - 1`.

        Source: Caron et al. 2021 (DINO), section 3.2: a cosine over the whole training.
        """
        if self.weight_decay_end is None:
            return self.weight_decay
        return Progress(step, num_steps).cosine(self.weight_decay, self.weight_decay_end)

    def build(self, modules: Sequence[nn.Module], apart: Collection[int] = ()) -> Optimizer:
        """Returns an optimizer of the modules; the engine sets its rate every step.

        `apart`: ids of parameters that get groups of their own, as they learn only later.
        """
        return self.optimizer(self._parameter_groups(modules, apart))

    def optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        """Returns an optimizer of torch's parameter groups."""
        raise NotImplementedError(f"{type(self).__name__} defines no optimizer")

    def _parameter_groups(
        self, modules: Sequence[nn.Module], apart: Collection[int]
    ) -> list[dict[str, Any]]:
        """Separates the parameters without weight decay and LARS' adaptation.

        These are biases and the parameters of norms, known by name or by their one dimension, and
        those that a module names in `no_decay` (positional embeddings, class tokens).
        """
        groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
        for module in modules:
            exempt = _exempt(module)
            rates = {} if self.layer_decay == 1 else layer_rates(module, self.layer_decay)
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    own_name = name.rpartition(".")[2]
                    is_weight = parameter.ndim > 1 and own_name != "bias" and name not in exempt
                    decayed = is_weight or self.decay_all
                    key = (rates.get(name, 1.0), decayed, id(parameter) in apart)
                    groups.setdefault(key, []).append(parameter)
        return [
            {
                "params": groups[rate, decayed, later],
                "weight_decay": self.weight_decay if decayed else 0.0,
                "adapt": decayed,
                **({} if self.layer_decay == 1 else {"rate": rate}),
            }
            for rate, decayed, later in sorted(groups, key=lambda k: (-k[0], not k[1], k[2]))
        ]


def _exempt(network: nn.Module) -> set[str]:
    """Returns the full names of the parameters that modules name in `no_decay`."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in network.named_modules()
        for name in getattr(module, "no_decay", ())
    }


def _momentum_checked(momentum: float) -> None:
    require(0 <= momentum < 1, "optim.momentum", momentum, "from 0 to below 1", "0.9 is usual")


@dataclass(kw_only=True)
class SGDConfig(OptimConfig):
    """Stochastic gradient descent with momentum."""

    lr: float = setting(0.6, "learning rate as typed; see optim.scaling for what is applied")
    warmup_epochs: float = setting(1.0, "epochs over which the learning rate rises linearly from 0")
    momentum: float = setting(0.9, "share of the last update kept")
    nesterov: bool = setting(True, "look ahead along the momentum")

    def __post_init__(self) -> None:
        super().__post_init__()
        _momentum_checked(self.momentum)
        require(
            self.momentum > 0 or not self.nesterov,
            "optim.nesterov",
            True,
            "false where momentum is 0",
            "set optim.nesterov=false",
        )

    def optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        from torch.optim import SGD

        made = SGD(
            groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=_fused(groups)
        )
        if self.momentum:
            _begin_at_rest(made)
        return made


@dataclass(kw_only=True)
class AdamWConfig(OptimConfig):
    """Adam with decoupled weight decay."""

    lr: float = setting(1e-3, "learning rate as typed; see optim.scaling for what is applied")
    betas: list[float] = setting(
        [0.9, 0.999], "decay rates of the averages of the gradient and of its square"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        good = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        require(
            good, "optim.betas", self.betas, "two numbers from 0 to below 1", "[0.9,0.999] is usual"
        )

    def optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        from torch.optim import AdamW

        return AdamW(groups, lr=self.lr, betas=(self.betas[0], self.betas[1]), fused=_fused(groups))


@dataclass(kw_only=True)
class LARSConfig(OptimConfig):
    """Layer-wise adaptive rate scaling, SimCLR's optimizer for large batches."""

    lr: float = setting(0.3, "learning rate as typed; see optim.scaling for what is applied")
    scaling: Scaling = setting(
        Scaling.linear,
        "apply lr (none), lr * batch_size / 256 (linear) or lr * sqrt(batch_size) (sqrt)",
    )
    weight_decay: float = setting(1e-6, "L2 penalty on the weights")
    warmup_epochs: float = setting(
        10.0, "epochs over which the learning rate rises linearly from 0"
    )
    momentum: float = setting(0.9, "share of the last update kept")
    trust: float = setting(
        0.001, "eta: a layer's step is this times |weights| / |gradient + weight_decay * weights|"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _momentum_checked(self.momentum)
        require(self.trust > 0, "optim.trust", self.trust, "positive", "0.001 is the paper's")

    def optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        from sslcli.engine.lars import LARS

        return LARS(groups, lr=self.lr, momentum=self.momentum, trust=self.trust)


def _begin_at_rest(optimizer: Optimizer) -> None:
    """Sets averages of gradients to 0: torch's fused kernel leaves them unwritten, and goes on.

    It does where fp16's scaler skips the first step: a loss was not finite at step 2 on an H200.
    """
    from torch import zeros_like

    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = zeros_like(parameter)


def _fused(groups: list[dict[str, Any]]) -> bool:
    """Tells whether torch has a fused kernel for all parameters on their devices."""
    return all(p.device.type in ("cpu", "cuda") for group in groups for p in group["params"])


OPTIMIZERS: Choices[OptimConfig] = Choices(
    "optimizer",
    OptimConfig,
    {"sgd": SGDConfig, "adamw": AdamWConfig, "lars": LARSConfig},
    "sslcli.optimizers",
    presets=("adam", "plain_sgd"),
)
