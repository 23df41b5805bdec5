"""Computes contrastive losses.

N images, two views of each: row i of `z_a` and row i of `z_b` (N, D) belong together.

`block`: rows of the (2N, 2N) similarities that are in memory at a time, in the forward and in the
backward pass, which computes each block again; None: all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sslcli.losses.precision import full_precision


def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float, block: int | None = None) -> Tensor:
    """Returns NT-Xent: the cross-entropy of finding an anchor's other view.

    The mean over the 2N anchors; the candidates are the 2N - 1 other embeddings. Computed by
    log-sum-exp in float32 at least, under autocast too. Source: Chen et al. 2020 (SimCLR), eq. 1
    and Algorithm 1. Differs from the official code, which returns the sum of the means over each
    view's anchors, twice this.
    """
    with torch.autocast(z_a.device.type, enabled=False):
        z = _directions(z_a, z_b)
        return _mean_over_anchors(partial(_cross_entropy, z, temperature), z, block)


def dcl(
    z_a: Tensor,
    z_b: Tensor,
    temperature: float,
    sigma: float | None = None,
    block: int | None = None,
) -> Tensor:
    """Returns DCL: NT-Xent without the positive among the candidates.

    The mean over the 2N anchors, for each of which softplus(its loss) is its NT-Xent. With `sigma`
    it is DCLW: the term of a pair's own similarity is weighed by 2 - N softmax(similarity / sigma),
    the softmax being over the pairs, so that the weights' mean is 1. Needs N of at least 2.
    Computed in float32 at least, under autocast too. Source: Yeh et al. 2022, "Decoupled
    Contrastive Learning".
    """
    with torch.autocast(z_a.device.type, enabled=False):
        z = _directions(z_a, z_b)
        z_a, z_b = z.chunk(2)
        own = (z_a * z_b).sum(dim=1)
        weights = 1.0 if sigma is None else 2 - len(own) * (own / sigma).softmax(dim=0)
        negatives = _mean_over_anchors(partial(_log_sum_of_negatives, z, temperature), z, block)
        return negatives - (weights * own).mean() / temperature


@torch.no_grad()
def rank_accuracy(z_a: Tensor, z_b: Tensor, block: int | None = None) -> Tensor:
    """Returns the share of the 2N anchors that are most similar to their other view.

    Chance is 1 / (2N - 1).
    """
    with torch.autocast(z_a.device.type, enabled=False):
        z = _directions(z_a, z_b)
        found = [
            _similarity(z, rows).argmax(dim=1) == _positives(z, rows)
            for rows in torch.split(_anchors(z), block or len(z))
        ]
        return torch.cat(found).float().mean()


def _mean_over_anchors(total: Callable[[Tensor], Tensor], z: Tensor, block: int | None) -> Tensor:
    """Returns the mean over all anchors; `total` sums over those of given rows."""
    if block is None or block >= len(z):
        return total(_anchors(z)) / len(z)
    terms = [
        checkpoint(total, rows, use_reentrant=False) for rows in torch.split(_anchors(z), block)
    ]
    return torch.stack(terms).sum() / len(z)


def _cross_entropy(z: Tensor, temperature: float, rows: Tensor) -> Tensor:
    """Sums over the anchors `rows`."""
    return F.cross_entropy(_similarity(z, rows) / temperature, _positives(z, rows), reduction="sum")


def _log_sum_of_negatives(z: Tensor, temperature: float, rows: Tensor) -> Tensor:
    """Sums over the anchors `rows`."""
    similarity = _similarity(z, rows).scatter(1, _positives(z, rows)[:, None], float("-inf"))
    return (similarity / temperature).logsumexp(dim=1).sum()


def _directions(z_a: Tensor, z_b: Tensor) -> Tensor:
    return F.normalize(full_precision(torch.cat([z_a, z_b])), dim=1)


def _anchors(z: Tensor) -> Tensor:
    return torch.arange(len(z), device=z.device)


def _similarity(z: Tensor, rows: Tensor) -> Tensor:
    """Returns (len(rows), 2N) cosine similarities; -inf to itself."""
    return (z[rows] @ z.T).scatter_(1, rows[:, None], float("-inf"))


def _positives(z: Tensor, rows: Tensor) -> Tensor:
    return (rows + len(z) // 2) % len(z)
