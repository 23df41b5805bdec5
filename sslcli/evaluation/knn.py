"""Classifies by the k nearest neighbours, to measure features without training.

Similarities are computed in float64 (docs/decisions/0009). N images, K classes, D width.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.evaluation.precision import directions, in_float64


def knn_scores(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
    block: int = 256,
) -> Tensor:
    """Returns scores (N, K) of `queries` (N, D) by the votes of k neighbours.

    Of equally similar pictures the first in the bank is nearer. A neighbour votes for its class
    with weight exp(cosine / temperature). `block` queries at a time bound the memory. Source: Wu et
    al. 2018, section 3.4; DINO's evaluation (Caron et al. 2021). Differs: a query's weights are
    divided by the largest of them, which changes no ranking and overflows at no temperature. Raises
    SslcliError where k is larger than the bank.
    """
    parts = []
    for weights, indices in _voters(bank, queries, k, temperature, block):
        votes = bank_labels.to(weights.device)[indices]
        part = weights.new_zeros(len(weights), num_classes)
        rows = torch.arange(len(part), device=part.device)
        # One neighbour at a time: no two votes meet in one cell, so a GPU too sums in one order.
        for neighbour in range(k):
            part[rows, votes[:, neighbour]] += weights[:, neighbour]
        parts.append(part)
    scores = torch.cat(parts)
    # Where the queries' device has no float64, its scores are float32.
    return scores if scores.device == queries.device else scores.float().to(queries.device)


def knn_means(
    bank: Tensor,
    values: Tensor,
    queries: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    block: int = 256,
) -> Tensor:
    """Returns the means (Q, T), float64, of the k neighbours' `values` (N, T).

    They are weighted as in `knn_scores`.
    """
    values, means = in_float64(values), []
    for weights, indices in _voters(bank, queries, k, temperature, block):
        voted = weights[..., None] * values.to(weights.device)[indices]
        means.append(voted.sum(dim=1) / weights.sum(dim=1, keepdim=True))
    return torch.cat(means)


def _voters(
    bank: Tensor, queries: Tensor, k: int, temperature: float, block: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields, for a block of queries, the weights of each one's neighbours, and their rows."""
    if not 1 <= k <= len(bank):
        raise SslcliError(
            f"kNN looks at {k:,} neighbours, but there are {len(bank):,} labelled pictures",
            "try k=20, or fewer",
        )
    candidates = directions(bank)
    for start in range(0, len(queries), block):
        similarity, indices = _nearest(directions(queries[start : start + block]) @ candidates.T, k)
        yield ((similarity - similarity.amax(dim=1, keepdim=True)) / temperature).exp(), indices


def _nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns each row's k largest values and columns; of equals the lowest column."""
    values, indices = similarity.topk(min(k + 1, similarity.shape[1]), dim=1)
    if values.shape[1] > k:
        # topk chooses freely among equals: this matters where the last one in equals the next.
        tied = (values[:, k - 1] == values[:, k]).nonzero()[:, 0]
        if len(tied):
            indices[tied, :k] = (
                similarity[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
            )
    return values[:, :k], indices[:, :k]


def neighbours(features: Tensor, queries: Tensor, k: int) -> Tensor:
    """Returns the indices (Q, k) of the pictures nearest to those at `queries` (Q,).

    By cosine among `features` (N, D), the most similar first, without the query itself; k < N.
    """
    assert k < len(features), f"{k} others among {len(features)} pictures"
    candidates = directions(features)
    similarity = candidates[queries] @ candidates.T
    similarity[torch.arange(len(queries)), queries] = -2.0
    return _nearest(similarity, k)[1]
