"""How a loss is minimised: precision, backward, clipping, the finite check, the optimizer's step."""

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
    """Parameters trained together by one optimizer, at `rate` times the learning rate."""

    optimizer: Optimizer
    clip_norm: float
    rate: float = 1.0

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


class Minimizer:
    """`minimize(loss, player)` for the players of a method: the engine's half of the method contract."""

    def __init__(
        self,
        players: dict[str, Player],
        compute: Compute,
        learning_rate: Callable[[int], float],
    ) -> None:
        """`learning_rate`: of every step, counted from 0."""
        self.learning_rate = learning_rate
        self._players = players
        self._device = compute.device
        self._scaler = torch.amp.GradScaler(enabled=compute.dtype is torch.float16)
        # Where the loss first was not finite; kept on the device, so that a CUDA step never waits for it.
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
        """Returns one with an optimizer, as configured, for every player of the learner."""
        rates = learner.learning_rates()
        players = {
            name: Player(optim.build(modules), optim.clip_norm, rates[name])
            for name, modules in learner.players().items()
        }
        return cls(players, compute, learning_rate)

    def __call__(self, loss: Tensor, *players: str) -> None:
        """One update of `players`, whose parameters alone get a gradient, each by its own optimizer; of "method" by default."""
        names = players or ("method",)
        for name in names:
            assert name in self._players, (
                f"the method has no player {name!r}; it has {sorted(self._players)}"
            )
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
        # Autocast keeps copies of weights in half precision, and would use the old ones for the rest of the step.
        torch.clear_autocast_cache()

    def begin(self, step: int) -> None:
        """Sets every player's learning rate for a step: the schedule's times the player's own rate."""
        self._step = step
        learning_rate = self.learning_rate(step)
        for player in self._players.values():
            for group in player.optimizer.param_groups:
                group["lr"] = learning_rate * player.rate

    def end(self) -> None:
        """Once a step, after all players' updates: the scale that fp16's gradients are kept in range with."""
        self._scaler.update()

    def check_finite(self) -> None:
        """Raises RunFailed when a loss was not finite since the start, in all processes if in one; makes a CUDA device wait, so
        only now and then."""
        for player, first_bad in self._first_bad.items():
            step = -largest(-int(first_bad))
            if step != self._never:
                loss = "the loss" if len(self._players) == 1 else f"the loss of the {player}"
                message = f"{loss} is not finite at step {step}"
                raise RunFailed(
                    message,
                    "lower optim.lr, set optim.clip_norm, or use runtime.precision=fp32; the last checkpoint is intact",
                )

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
