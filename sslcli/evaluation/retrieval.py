"""Scores how well features find pictures of a picture's own class.

Every picture is a query among the others, by cosine similarity in float64. N images, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslcli.evaluation.precision import directions

RANKS = (1, 5, 10)
CELLS = 2**20
"""Most similarities that are sorted at once; each takes some 60 bytes."""


def retrieval_scores(
    features: Tensor, labels: Tensor, ranks: Sequence[int] = RANKS, cells: int = CELLS
) -> dict[str, float]:
    """Returns `recall_at_k` for each k of `ranks`, and the mean average precision, `map`.

    `features` are (N, D), `labels` (N,) int64. Recall at k is the fraction of the queries that
    have a picture of their class among the k nearest. A query's average precision is the mean, over
    the pictures of its class, of the precision down to each. The query itself is left out. Of
    equally similar pictures the first is nearer. A picture that is the only one of its class is no
    query; NaN where there is no other. At most `cells` similarities are held, but a whole row.
    """
    candidates = directions(features)
    labels = labels.to(candidates.device)
    queries = _with_company(labels).nonzero()[:, 0]
    totals = candidates.new_zeros(len(ranks) + 1)
    step = max(1, cells // max(1, len(features)))
    for start in range(0, len(queries), step):
        found = _found(candidates, labels, queries[start : start + step])
        recalls = [found[:, :k].any(dim=1).double().sum() for k in ranks]
        totals += torch.stack([*recalls, _average_precision(found).sum()])
    names = [*(f"recall_at_{k}" for k in ranks), "map"]
    return dict(zip(names, (totals / len(queries)).tolist(), strict=True))


def count_queries(labels: Tensor) -> int:
    """Returns how many pictures have another one of their class."""
    return int(_with_company(labels).sum())


def _with_company(labels: Tensor) -> Tensor:
    """Returns which of the pictures (N,) have another one of their class."""
    _, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    company: Tensor = counts[inverse] > 1
    return company


def _found(candidates: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """Returns which of the other pictures have the query's class, (Q, N - 1), nearest first."""
    similarity = candidates[queries] @ candidates.T
    similarity[torch.arange(len(queries), device=queries.device), queries] = -torch.inf
    order = similarity.sort(dim=1, descending=True, stable=True).indices[:, :-1]
    return labels[order] == labels[queries, None]


def _average_precision(found: Tensor) -> Tensor:
    """Returns the average precision (Q,), float64, of `found` (Q, M); each row holds one."""
    so_far = found.cumsum(dim=1)
    rank = torch.arange(1, found.shape[1] + 1, device=found.device)
    return (so_far * found / rank.double()).sum(dim=1) / so_far[:, -1]
