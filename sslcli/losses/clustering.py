"""Predicts one view's assignment to prototypes from others: SwAV and DINO.

N images, K prototypes. Computed in float32 at least, under autocast too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslcli.losses.precision import full_precision


def cross_view_entropy(
    targets: Sequence[Tensor], scores: Sequence[Tensor], temperature: float
) -> Tensor:
    """Returns the mean cross-entropy of views' targets in other views' softmax.

    `targets`: the assignments (N, K) of the first views, each row a distribution; `scores` (N, K):
    of all views, those of the targets first; the softmax divides them by `temperature`. A view does
    not predict its own target. Source: Caron et al. 2020 (SwAV), eq. 1, and Caron et al. 2021
    (DINO), eq. 3.
    """
    with torch.autocast(scores[0].device.type, enabled=False):
        log_shares = [(full_precision(view) / temperature).log_softmax(dim=1) for view in scores]
        terms = [
            -(full_precision(target) * log_share).sum(dim=1).mean()
            for index, target in enumerate(targets)
            for other, log_share in enumerate(log_shares)
            if other != index
        ]
        return torch.stack(terms).mean()


@torch.no_grad()
def sinkhorn(
    scores: Tensor, epsilon: float, num_iterations: int, earlier: Tensor | None = None
) -> Tensor:
    """Returns assignments (N, K) that use all prototypes alike: rows sum to 1.

    `scores` (N, K); `earlier` (M, K): scores of other pictures, which are assigned with them. Rows
    and columns of exp(scores / epsilon) are normalised in turn. Source: Caron et al. 2020 (SwAV),
    §3.1 and the supplement's listing. Differs: computed on logarithms, where the official code's
    exponentials may overflow.
    """
    with torch.autocast(scores.device.type, enabled=False):
        num = len(scores)
        scores = scores if earlier is None else torch.cat([scores, earlier.to(scores)])
        log_shares = full_precision(scores) / epsilon
        for _ in range(num_iterations):
            log_shares = log_shares - log_shares.logsumexp(dim=0, keepdim=True)
            log_shares = log_shares.log_softmax(dim=1)
        return log_shares[:num].exp()
