"""The mean of what was seen lately: DINO's centre."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslcli.processes import gathered


class RunningMean(nn.Module):
    """The running mean of rows (N, D), equal in all processes; it starts at 0."""

    value: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(width))

    @torch.no_grad()
    def follow(self, rows: Tensor, momentum: float) -> None:
        """Moves the value to `momentum` times itself plus the rest of the rows' mean.

        `rows` (N, D) are this process's; the mean is taken over those of all processes.
        """
        everyone = gathered(rows.detach().to(self.value.dtype))
        self.value.lerp_(everyone.mean(dim=0), 1 - momentum)
