"""The k-nearest-neighbour classifier: what features say without training. N images, K classes, D width."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sslcli.errors import SslcliError


def knn_scores(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
    block: int = 256,
) -> Tensor:
    """Scores (N, K) of `queries` (N, D): a vote of the k pictures of `bank` most similar by cosine.

    A neighbour votes for its class with weight exp(similarity / temperature). Of equally similar pictures the
    first in the bank goes first. `block` queries at a time bound the memory.
    Source: Wu et al. 2018, section 3.4; DINO's evaluation (Caron et al. 2021). Differs: a query's weights are
    divided by the largest of them, which changes no ranking and overflows at no temperature.
    Raises SslcliError where k is larger than the bank.
    """
    if not 1 <= k <= len(bank):
        raise SslcliError(
            f"kNN looks at {k:,} neighbours, but there are {len(bank):,} labelled pictures",
            "try k=20, or fewer",
        )
    directions = normalize(bank, dim=1).T.contiguous()
    scores = queries.new_zeros(len(queries), num_classes)
    for start in range(0, len(queries), block):
        part = scores[start : start + block]
        similarity, indices = _nearest(
            normalize(queries[start : start + block], dim=1) @ directions, k
        )
        weights = ((similarity - similarity.amax(dim=1, keepdim=True)) / temperature).exp()
        votes = bank_labels[indices]
        rows = torch.arange(len(part), device=part.device)
        # One neighbour at a time: no two votes meet in one cell, so the sum has one order, on a GPU too.
        for neighbour in range(k):
            part[rows, votes[:, neighbour]] += weights[:, neighbour]
    return scores


def _nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of every row and where they stand, the lowest indices first among equals."""
    values, indices = similarity.topk(min(k + 1, similarity.shape[1]), dim=1)
    if values.shape[1] > k:
        # topk picks freely among equals, which matters where the last one in equals the first one out.
        tied = (values[:, k - 1] == values[:, k]).nonzero()[:, 0]
        if len(tied):
            indices[tied, :k] = (
                similarity[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
            )
    return values[:, :k], indices[:, :k]


def neighbours(features: Tensor, queries: Tensor, k: int) -> Tensor:
    """Indices (Q, k) of the pictures of `features` (N, D) most similar by cosine to those at `queries` (Q,), the most similar
    first, themselves left out; k is below N."""
    assert k < len(features), f"{k} others among {len(features)} pictures"
    directions = normalize(features, dim=1)
    similarity = directions[queries] @ directions.T
    similarity[torch.arange(len(queries)), queries] = -2.0
    return _nearest(similarity, k)[1]
