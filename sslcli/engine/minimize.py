"""Minimises losses of a method's players.

That is precision, backward, clipping, the check for finite losses and the optimizer's step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import record_function

from sslcli.choices import Misfit, answerable
from sslcli.engine.device import Compute
from sslcli.engine.frozen_encoders import FrozenEncoders
from sslcli.engine.optim_config import OPTIMIZERS, OptimConfig
from sslcli.engine.replicas import Replicas
from sslcli.errors import RunFailed, SslcliError
from sslcli.method import Learner
from sslcli.processes import largest, size

HOW = ("fused", "foreach")
"""What of an optimizer's state is not of the training, but of the device and processes."""


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
        weight_decay: Callable[[int], float] | None = None,
        learner: str = "the learner",
    ) -> None:
        """Takes the rates as functions of the step, counted from 0.

        Without `weight_decay` that stays as the optimizers have it. `learner`: a name for messages.
        """
        self.learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._players = players
        self._device = compute.device
        self._scaler = torch.amp.GradScaler(
            self._device.type, enabled=compute.dtype is torch.float16
        )
        # First step with a loss that is not finite; on the device, so a CUDA step never waits.
        self._never = torch.iinfo(torch.int64).max
        self._first_bad = {name: torch.tensor(self._never, device=self._device) for name in players}
        self._step = 0
        self._learner = learner
        self._called = False
        self._frozen = FrozenEncoders()
        self.replicas = Replicas()

    @classmethod
    def of(
        cls,
        learner: Learner[Any, Any],
        optim: OptimConfig,
        compute: Compute,
        learning_rate: Callable[[int], float],
        weight_decay: Callable[[int], float] | None = None,
        frozen_steps: int = 0,
        replicas: Replicas | None = None,
    ) -> Minimizer:
        """Builds a minimizer with an optimizer, as configured, for every player.

        In the first `frozen_steps` the players' encoders do not learn. `replicas` says how
        processes share the work, by default `Replicas()`.
        Raises SslcliError where the learner's rates are not those of its players.
        """
        name, rates = type(learner).__name__, learner.learning_rates()
        modules_of = learner.players()
        if rates.keys() != modules_of.keys():
            message = (
                f"{name}.learning_rates gives rates for {_listed(rates)}, "
                f"and its players are {_listed(modules_of)}"
            )
            raise SslcliError(message, "give every player a rate, and nobody else")
        frozen = FrozenEncoders.of(learner.modules().values(), frozen_steps)
        players = {
            player: Player(
                _optimizer(optim, modules, f"{name}.players gives {player!r}", frozen),
                optim.clip_norm,
                rates[player],
            )
            for player, modules in modules_of.items()
        }
        minimizer = cls(players, compute, learning_rate, weight_decay, name)
        minimizer._frozen = frozen
        minimizer.replicas = replicas or minimizer.replicas
        for player in players.values():
            minimizer.replicas.adapt(player.optimizer)
        return minimizer

    def __call__(self, loss: Tensor, *players: str) -> None:
        """Updates the named players, by default "method"; only they get a gradient.

        Raises SslcliError for an unknown player, or a loss that cannot be minimised.
        """
        names = players or ("method",)
        self._require_sound(loss, names)
        self._called = True
        trained = [self._players[name] for name in names]
        self._watch(loss.detach(), names)
        with torch.autocast(self._device.type, enabled=False), record_function("minimize"):
            for player in trained:
                player.optimizer.zero_grad(set_to_none=True)
            inputs = [
                parameter
                for player in trained
                for parameter in player.parameters
                if not self._frozen.holds(parameter, self._step)
            ]
            if not inputs:
                raise SslcliError(
                    f"{self._learner} trains nothing beside the encoder, which is frozen",
                    "leave encoder.frozen_epochs out",
                )
            self.replicas.backward(self._scaler.scale(loss), inputs)
            for player in trained:
                if player.clip_norm > 0:
                    self._scaler.unscale_(player.optimizer)
                    self.replicas.clip(player.parameters, player.clip_norm)
                self._scaler.step(player.optimizer)
        # Autocast caches weights in half precision; the rest of the step must see the new ones.
        torch.clear_autocast_cache()

    def begin(self, step: int) -> None:
        """Sets every player's learning rate for a step, and a changing weight decay."""
        self._step, self._called = step, False
        self._frozen.begin(step)
        learning_rate = self.learning_rate(step)
        for player in self._players.values():
            for group in player.optimizer.param_groups:
                group["lr"] = learning_rate * player.rate * group.get("rate", 1.0)
                if self._weight_decay is not None and group["adapt"]:
                    group["weight_decay"] = self._weight_decay(step)

    def end(self) -> None:
        """Updates the loss scale of fp16; call it once a step, after all players' updates.

        Raises SslcliError where the step updated no player.
        """
        if not self._called:
            raise SslcliError(
                f"{self._learner}.train_step did not call `minimize`: nothing was trained",
                "call minimize(loss) in every step, once for each player",
            )
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

    def _require_sound(self, loss: Tensor, players: Sequence[str]) -> None:
        unknown = [name for name in players if name not in self._players]
        if unknown:
            raise SslcliError(
                f"{self._learner}.train_step minimises for {_listed(unknown)}, no player of it",
                f"its players are {_listed(self._players)}",
            )
        if loss.ndim or not loss.requires_grad:
            what = f"of shape {tuple(loss.shape)}" if loss.ndim else "without a gradient"
            raise SslcliError(
                f"{self._learner}.train_step minimises a loss {what}",
                "minimise a scalar that is computed from the player's parameters, not detached",
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
        """Loads what `state` returned, of any number of processes."""
        for name, player in self._players.items():
            saved = dict(state["optimizers"][name])
            saved["state"] = {
                index: self.replicas.own(values, dict.fromkeys(values, player.parameters[index]))
                for index, values in saved["state"].items()
            }
            groups = player.optimizer.param_groups
            kept = [{how: group[how] for how in HOW if how in group} for group in groups]
            player.optimizer.load_state_dict(saved)
            for group, here in zip(player.optimizer.param_groups, kept, strict=True):
                group.update(here)
        self._scaler.load_state_dict(state["scaler"])


def _optimizer(
    optim: OptimConfig, modules: Sequence[nn.Module], gives: str, frozen: FrozenEncoders
) -> Optimizer:
    """Builds an optimizer; raises SslcliError where there is nothing to train, or it fails."""
    if not any(p.requires_grad for module in modules for p in module.parameters()):
        fix = "name modules that have parameters with a gradient"
        raise SslcliError(f"{gives} nothing to train", fix)
    with answerable(OPTIMIZERS, optim):
        return _sound_optimizer(optim.build(modules, frozen.parameters))


def _sound_optimizer(optimizer: object) -> Optimizer:
    """Returns the optimizer; raises Misfit unless it is one of the groups that it was given."""
    if not isinstance(optimizer, Optimizer):
        message = f"its optimizer returns {type(optimizer).__name__}, no torch.optim.Optimizer"
        raise Misfit(message, "let it end with: return SGD(groups, lr=self.lr)")
    if not all("adapt" in group for group in optimizer.param_groups):
        message = "its optimizer has other groups of parameters than it was given"
        raise Misfit(message, "pass them on as they are: return SGD(groups, lr=self.lr)")
    return optimizer


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
