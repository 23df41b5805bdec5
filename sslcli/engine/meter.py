"""Averages a method's metrics between two records, on the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.processes import average_


class Meter:
    """Sums the metrics since the last `take`.

    Part of the checkpoint, so that a resumed run's means are the same. `learner` names whose
    metrics these are.
    """

    def __init__(self, learner: str = "the learner") -> None:
        self._learner = learner
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, metrics: dict[str, Tensor]) -> None:
        """Adds a step's. Raises SslcliError where one is no scalar, or "loss" lacks."""
        self._require_scalars(metrics)
        for name, value in metrics.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def _require_scalars(self, metrics: object) -> None:
        step = f"{self._learner}.train_step"
        if not isinstance(metrics, dict) or "loss" not in metrics:
            found = ", ".join(metrics) if isinstance(metrics, dict) else type(metrics).__name__
            raise SslcliError(
                f"{step} returns no 'loss', but {found or 'nothing'}",
                'let it end with: return {"loss": loss.detach()}',
            )
        for name, value in metrics.items():
            if not isinstance(value, Tensor):
                message = f"{step} returns {name!r} as {type(value).__name__}, {value!r:.40}"
                raise SslcliError(message, "give a scalar tensor, on the device of the loss")
            if value.ndim:
                message = f"{step} returns {name!r} as a tensor of shape {tuple(value.shape)}"
                raise SslcliError(message, f"give a scalar: {name}.mean()")

    def take(self) -> dict[str, float]:
        """Returns the means over steps and processes, and resets the sums.

        The only place where metrics leave the device.
        """
        average_(list(self._sums.values()))
        values = (torch.stack(list(self._sums.values())) / self._count).tolist()
        means = dict(zip(self._sums, values, strict=True))
        self._sums, self._count = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        average_(list(self._sums.values()))
        return {
            "sums": {name: value.cpu() for name, value in self._sums.items()},
            "count": self._count,
        }

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._count = state["count"]
