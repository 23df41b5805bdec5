"""InfoNCE: finding each query's key among others, by cosine similarity.

Row i of `queries` and row i of `keys` (N, D) belong together. Computed in float32 at
least, under autocast too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sslcli.losses.precision import full_precision


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Returns the mean cross-entropy of finding a query's key in the batch.

    Source: van den Oord et al. 2018, eq. 4; Chen et al. 2021 (MoCo v3), eq. 1, whose code
    multiplies it by 2 · `temperature`; Dwibedi et al. 2021 (NNCLR), where a query is the
    nearest neighbour of the other view and the keys are predictions.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys = _direction(queries), _direction(keys)
        pairs = torch.arange(len(queries), device=queries.device)
        return F.cross_entropy(queries @ keys.T / temperature, pairs)


def info_nce_with_queue(
    queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float
) -> Tensor:
    """Returns the mean cross-entropy of finding a key beside `negatives` (K, D).

    Source: He et al. 2020 (MoCo), eq. 1 and Algorithm 1.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys = _direction(queries), _direction(keys)
        negatives = _direction(negatives.to(queries))
        own = (queries * keys).sum(dim=1, keepdim=True)
        logits = torch.cat([own, queries @ negatives.T], dim=1) / temperature
        first = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
        return F.cross_entropy(logits, first)


def _direction(z: Tensor) -> Tensor:
    return F.normalize(full_precision(z), dim=1)
