"""Averages a method's metrics between two records, on the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sslcli.processes import average_


class Meter:
    """Sums the metrics since the last `take`.

    Part of the checkpoint, so that a resumed run's means are the same.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, metrics: dict[str, Tensor]) -> None:
        for name, value in metrics.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

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
