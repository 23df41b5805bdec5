"""Retrieval against scikit-learn and a slow loop; ties, and classes of one picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from sslcli.evaluation.retrieval import count_queries, retrieval_scores


def clusters(count: int, num_classes: int = 4) -> tuple[Tensor, Tensor]:
    """Features in overlapping clusters, and their classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, num_classes, (count,), generator=generator)
    centres = torch.randn(num_classes, 6, generator=generator)
    return centres[labels] + 1.5 * torch.randn(count, 6, generator=generator), labels


def slow_scores(features: Tensor, labels: Tensor) -> dict[str, float]:
    pictures, classes = features.double().tolist(), labels.tolist()
    found: dict[str, list[float]] = {}
    for query, picture in enumerate(pictures):
        cosine = {
            other: sum(a * b for a, b in zip(picture, one, strict=True))
            / (math.hypot(*picture) * math.hypot(*one))
            for other, one in enumerate(pictures)
            if other != query
        }
        nearest = sorted(cosine, key=lambda other: (-cosine[other], other))
        right = [classes[other] == classes[query] for other in nearest]
        if not any(right):
            continue
        for k in (1, 5, 10):
            found.setdefault(f"recall_at_{k}", []).append(float(any(right[:k])))
        precisions = [sum(right[: at + 1]) / (at + 1) for at, hit in enumerate(right) if hit]
        found.setdefault("map", []).append(sum(precisions) / len(precisions))
    return {name: sum(values) / len(values) for name, values in found.items()}


@pytest.mark.parametrize("cells", [1, 200, 10_000])
def test_scores_are_those_of_a_slow_loop_in_any_memory(cells: int) -> None:
    features, labels = clusters(60)
    scores = retrieval_scores(features, labels, cells=cells)
    assert scores == pytest.approx(slow_scores(features, labels), abs=1e-9)
    assert scores["recall_at_1"] < scores["recall_at_5"] < scores["recall_at_10"]


def test_mean_average_precision_is_scikit_learns() -> None:
    features, labels = clusters(120)
    unit = features.double() / features.double().norm(dim=1, keepdim=True)
    similarity = (unit @ unit.T).numpy()
    expected = []
    for query in range(len(labels)):
        others = np.arange(len(labels)) != query
        same = (labels == labels[query]).numpy()[others]
        expected.append(average_precision_score(same, similarity[query, others]))
    found = retrieval_scores(features, labels)["map"]
    assert found == pytest.approx(np.mean(expected), abs=1e-9)


def test_of_equally_similar_pictures_the_first_is_nearer() -> None:
    features = torch.ones(4, 2)
    scores = retrieval_scores(features, torch.tensor([0, 0, 1, 1]), ranks=(1, 2))
    # Queries of class 0 find theirs first; those of class 1 after both others.
    assert scores["recall_at_1"] == 0.5
    assert scores["recall_at_2"] == 0.5
    assert scores["map"] == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4, abs=1e-12)


def test_the_query_itself_is_never_found() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    assert retrieval_scores(features, torch.tensor([0, 0, 1, 1]), ranks=(1,))["recall_at_1"] == 0


def test_a_classes_only_picture_is_no_query_but_may_be_found() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.2], [1.0, 0.1]])
    labels = torch.tensor([0, 0, 7])
    assert count_queries(labels) == 2
    scores = retrieval_scores(features, labels, ranks=(1, 10))
    assert scores == {"recall_at_1": 0.0, "recall_at_10": 1.0, "map": 0.5}


def test_without_a_query_nothing_is_measured() -> None:
    assert count_queries(torch.arange(3)) == 0
    assert all(map(math.isnan, retrieval_scores(torch.eye(3), torch.arange(3)).values()))


def test_features_of_one_narrow_cone_are_told_apart() -> None:
    features, labels = clusters(60)
    cone = torch.cat([torch.full((60, 1), 1e4), features], dim=1)
    expected = slow_scores(cone, labels)
    assert retrieval_scores(cone, labels) == pytest.approx(expected, abs=1e-9)
