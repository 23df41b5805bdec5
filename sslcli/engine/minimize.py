"""Minimises losses of a method's players.

That is precision, backward, clipping, the check for finite losses and the optimizer's step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import record_function

from sslcli.engine.device import Compute
from sslcli.engine.optim_config import OptimConfig
from sslcli.errors import RunFailed
from sslcli.method import Learner
from sslcli.processes import average_, largest, size


@dataclass(frozen=True)
class Player:
    """Holds parameters that one optimizer trains at `rate` times the learning rate."""

    optimizer: Optimizer
    clip_norm: float
    rate: float = 1.0

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


class Minimizer:
    """Updates the players of a method: `minimize(loss, player)` in the contract."""

    def __init__(
        self,
        players: dict[str, Player],
        compute: Compute,
        learning_rate: Callable[[int], float],
    ) -> None:
        """Takes `learning_rate`, which maps a step, counted from 0, to its learning rate."""
        self.learning_rate = learning_rate
        self._players = players
        self._device = compute.device
        self._scaler = torch.amp.GradScaler(enabled=compute.dtype is torch.float16)
        # First step with a loss that is not finite; on the device, so a CUDA step never waits.
        self._never = torch.iinfo(torch.int64).max
        self._first_bad = {name: torch.tensor(self._never, device=self._device) for name in players}
        self._step = 0

    @classmethod
    def of(
        cls,
        learner: Learner[Any, Any],
        optim: OptimConfig,
        compute: Compute,
        learning_rate: Callable[[int], float],
    ) -> Minimizer:
        """Builds a minimizer with an optimizer, as configured, for every player."""
        rates = learner.learning_rates()
        players = {
            name: Player(optim.build(modules), optim.clip_norm, rates[name])
            for name, modules in learner.players().items()
        }
        return cls(players, compute, learning_rate)

    def __call__(self, loss: Tensor, *players: str) -> None:
        """Updates the named players, by default "method"; only they get a gradient."""
        names = players or ("method",)
        for name in names:
            assert name in self._players, f"no player {name!r} among {sorted(self._players)}"
        trained = [self._players[name] for name in names]
        self._watch(loss.detach(), names)
        with torch.autocast(self._device.type, enabled=False), record_function("minimize"):
            for player in trained:
                player.optimizer.zero_grad(set_to_none=True)
            inputs = [parameter for player in trained for parameter in player.parameters]
            self._scaler.scale(loss).backward(inputs=inputs)  # type: ignore[no-untyped-call]
            average_([parameter.grad for parameter in inputs if parameter.grad is not None])
            for player in trained:
                if player.clip_norm > 0:
                    self._scaler.unscale_(player.optimizer)
                    nn.utils.clip_grad_norm_(player.parameters, player.clip_norm)
                self._scaler.step(player.optimizer)
        # Autocast caches weights in half precision; the rest of the step must see the new ones.
        torch.clear_autocast_cache()

    def begin(self, step: int) -> None:
        """Sets every player's learning rate for a step."""
        self._step = step
        learning_rate = self.learning_rate(step)
        for player in self._players.values():
            for group in player.optimizer.param_groups:
                group["lr"] = learning_rate * player.rate

    def end(self) -> None:
        """Updates the loss scale of fp16; call it once a step, after all players' updates."""
        self._scaler.update()

    def check_finite(self) -> None:
        """Raises RunFailed where a loss was not finite since the start, on any process.

        It waits for a CUDA device, so the loop calls it only before records and checkpoints.
        """
        for player, first_bad in self._first_bad.items():
            step = -largest(-int(first_bad))
            if step != self._never:
                loss = "the loss" if len(self._players) == 1 else f"the loss of the {player}"
                message = f"{loss} is not finite at step {step}"
                fix = (
                    "lower optim.lr, set optim.clip_norm, or use runtime.precision=fp32; "
                    "the last checkpoint is intact"
                )
                raise RunFailed(message, fix)

    def _watch(self, loss: Tensor, players: Sequence[str]) -> None:
        now = torch.where(torch.isfinite(loss), self._never, self._step)
        for player in players:
            self._first_bad[player] = torch.minimum(self._first_bad[player], now)
        if self._device.type == "cpu" and size() == 1:
            self.check_finite()

    def state(self) -> dict[str, Any]:
        optimizers = {name: player.optimizer.state_dict() for name, player in self._players.items()}
        return {"optimizers": optimizers, "scaler": self._scaler.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, player in self._players.items():
            player.optimizer.load_state_dict(state["optimizers"][name])
        self._scaler.load_state_dict(state["scaler"])
