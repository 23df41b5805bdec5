"""Computes contrastive losses.

N images, two views of each: row i of `z_a` and row i of `z_b` (N, D) belong together.

`block`: rows of the (2N, 2N) similarities that are in memory at a time, in the forward and in the
backward pass, which computes each block again; None: all of them.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float, block: int | None = None) -> Tensor:
    """Returns NT-Xent, the cross-entropy of finding the other view among 2N - 1.

    It is the mean over the 2N anchors, computed in float32 by log-sum-exp whatever the inputs'
    dtype, under autocast too. Source: Chen et al. 2020 (SimCLR), eq. 1 and Algorithm 1. Differs
    from the official code, which returns the sum of the means over each view's anchors, twice this.
    """
    with torch.autocast(z_a.device.type, enabled=False):
        z = _directions(z_a, z_b)
        loss = partial(_cross_entropy, z, temperature)
        if block is None or block >= len(z):
            return loss(_anchors(z)) / len(z)
        terms = [
            checkpoint(loss, rows, use_reentrant=False) for rows in torch.split(_anchors(z), block)
        ]
        return torch.stack(terms).sum() / len(z)


@torch.no_grad()
def rank_accuracy(z_a: Tensor, z_b: Tensor, block: int | None = None) -> Tensor:
    """Returns the share of anchors whose most similar embedding is their other view.

    There are 2N anchors; chance is 1 / (2N - 1).
    """
    with torch.autocast(z_a.device.type, enabled=False):
        z = _directions(z_a, z_b)
        found = [
            _similarity(z, rows).argmax(dim=1) == _positives(z, rows)
            for rows in torch.split(_anchors(z), block or len(z))
        ]
        return torch.cat(found).float().mean()


def _cross_entropy(z: Tensor, temperature: float, rows: Tensor) -> Tensor:
    """Returns the sum over the anchors `rows`."""
    return F.cross_entropy(_similarity(z, rows) / temperature, _positives(z, rows), reduction="sum")


def _directions(z_a: Tensor, z_b: Tensor) -> Tensor:
    return F.normalize(torch.cat([z_a, z_b]).float(), dim=1)


def _anchors(z: Tensor) -> Tensor:
    return torch.arange(len(z), device=z.device)


def _similarity(z: Tensor, rows: Tensor) -> Tensor:
    """Returns (len(rows), 2N) cosine similarities; -inf to itself, no candidate."""
    return (z[rows] @ z.T).scatter_(1, rows[:, None], float("-inf"))


def _positives(z: Tensor, rows: Tensor) -> Tensor:
    return (rows + len(z) // 2) % len(z)
