"""Holds rows of earlier batches to compare with: MoCo, NNCLR, SwAV."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from sslcli.processes import gathered


class Queue(nn.Module):
    """Holds the newest `rows` (K, D), L2-normalised, equal in all processes.

    It starts with random directions, from torch's global generator, as MoCo's does.
    """

    rows: Tensor
    position: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", normalize(torch.randn(size, width), dim=1))
        self.register_buffer("position", torch.tensor(0))

    @torch.no_grad()
    def enqueue(self, rows: Tensor, groups: int = 1) -> None:
        """Puts rows (N, D) in place of the oldest; after `minimize`, which needs these.

        `rows` are this process's own, view by view where there are several `groups`; those of all
        processes are put in, normalised, in the order that one process would have them.
        """
        size = len(self.rows)
        everyone = gathered(rows.detach().to(self.rows.dtype), groups)[-size:]
        places = (self.position + torch.arange(len(everyone), device=rows.device)) % size
        self.rows[places] = normalize(everyone, dim=1)
        self.position.copy_((self.position + len(everyone)) % size)

    @torch.no_grad()
    def nearest(self, rows: Tensor) -> Tensor:
        """Returns, for each of rows (N, D), the most similar row of the queue (N, D)."""
        directions = normalize(rows.to(self.rows.dtype), dim=1)
        return self.rows[(directions @ self.rows.T).argmax(dim=1)]
