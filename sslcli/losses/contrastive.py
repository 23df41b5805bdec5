"""Contrastive losses. N images, two views of each: row i of `z_a` and row i of `z_b` (N, D) belong together."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float) -> Tensor:
    """NT-Xent: the mean over the 2N anchors of the cross-entropy of finding the other view among the 2N - 1 others.

    Computed in float32 by log-sum-exp whatever the inputs' dtype, under autocast too.
    Source: Chen et al. 2020 (SimCLR), eq. 1 and Algorithm 1. Differs from the official code, which returns the sum of
    the means over each view's anchors, twice this.
    """
    with torch.autocast(z_a.device.type, enabled=False):
        similarity = _similarity(z_a, z_b)
        return F.cross_entropy(similarity / temperature, _positives(similarity))


@torch.no_grad()
def rank_accuracy(z_a: Tensor, z_b: Tensor) -> Tensor:
    """The share of the 2N anchors whose most similar embedding is their own other view; chance is 1 / (2N - 1)."""
    with torch.autocast(z_a.device.type, enabled=False):
        similarity = _similarity(z_a, z_b)
        return (similarity.argmax(dim=1) == _positives(similarity)).float().mean()


def _similarity(z_a: Tensor, z_b: Tensor) -> Tensor:
    """(2N, 2N) cosine similarities in float32; -inf on the diagonal: an anchor is no candidate for itself."""
    z = F.normalize(torch.cat([z_a, z_b]).float(), dim=1)
    return (z @ z.T).fill_diagonal_(float("-inf"))


def _positives(similarity: Tensor) -> Tensor:
    num_anchors = len(similarity)
    return torch.arange(num_anchors, device=similarity.device).roll(num_anchors // 2)
