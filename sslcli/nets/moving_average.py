"""Slow copies of networks: targets, teachers, key encoders."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """Copies of networks that follow them slowly, and never get a gradient.

    Called, it feeds its input through the copies in turn. A copy is in the mode of the method: its
    batch norm takes the batch's statistics in training, as in the code of BYOL, MoCo and DINO.

    Differs: buffers (batch norm's running statistics) are copied from the networks at every
    `follow`; there they are those of what the copy itself was fed. So a copy that is fed nothing in
    training is right in evaluation, too. One that is itself what survives keeps its own.
    """

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            copy.deepcopy(network).requires_grad_(False) for network in networks
        )

    def __getitem__(self, index: int) -> nn.Module:
        """Returns the copy of the network that was given in this place."""
        return self.networks[index]

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        for network in self.networks:
            inputs = network(inputs)
        return inputs

    @torch.no_grad()
    def follow(self, *networks: nn.Module, momentum: float, buffers: bool = True) -> None:
        """Moves every weight to `momentum` times itself plus the rest of the network's.

        The line after `minimize`. `networks` are those of which these are copies, in their order.
        `buffers`: theirs are copied; else a copy keeps those of what it was fed in training.
        """
        for slow, fast in zip(self.networks, networks, strict=True):
            weights = zip(slow.parameters(), fast.parameters(), strict=True)
            for weight, target in weights:
                weight.lerp_(target, 1 - momentum)
            copied = zip(slow.buffers(), fast.buffers(), strict=True) if buffers else ()
            for buffer, value in copied:
                buffer.copy_(value)
