"""kNN against a slow loop and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.evaluation.knn import knn_means, knn_scores

NUM_CLASSES = 4


def clusters(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Pictures' features in four overlapping clusters, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(NUM_CLASSES, 6, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(0, NUM_CLASSES, (count,), generator=generator)
    return centres[labels] + torch.randn(count, 6, generator=generator), labels


def slow_scores(
    bank: Tensor, labels: Tensor, queries: Tensor, k: int, temperature: float
) -> list[list[float]]:
    scores = []
    for query in queries.double():
        similarity = [float(query @ one / (query.norm() * one.norm())) for one in bank.double()]
        nearest = sorted(range(len(bank)), key=lambda index: (-similarity[index], index))[:k]
        row = [0.0] * NUM_CLASSES
        for index in nearest:
            row[int(labels[index])] += math.exp(
                (similarity[index] - similarity[nearest[0]]) / temperature
            )
        scores.append(row)
    return scores


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (7, 0.07), (7, 1.0), (60, 0.5)])
def test_scores_are_those_of_a_slow_loop(k: int, temperature: float):
    (bank, labels), (queries, _) = clusters(0, 60), clusters(1, 15)
    scores = knn_scores(bank, labels, queries, NUM_CLASSES, k, temperature, block=4)
    np.testing.assert_allclose(
        scores.numpy(), slow_scores(bank, labels, queries, k, temperature), atol=2e-5
    )


def test_predictions_are_those_of_scikit_learn():
    (bank, labels), (queries, _) = clusters(0, 400), clusters(1, 200)
    model = KNeighborsClassifier(
        20,
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / 0.07),
    ).fit(bank.numpy(), labels.numpy())
    scores = knn_scores(bank, labels, queries, NUM_CLASSES, k=20, temperature=0.07)
    np.testing.assert_array_equal(scores.argmax(dim=1).numpy(), model.predict(queries.numpy()))
    probabilities = scores / scores.sum(dim=1, keepdim=True)
    np.testing.assert_allclose(
        probabilities.numpy(), model.predict_proba(queries.numpy()), atol=1e-4
    )


def test_of_equal_neighbours_the_first_in_the_bank_votes():
    bank = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    labels = torch.tensor([0, 3, 1, 2, 2])
    scores = knn_scores(bank, labels, torch.tensor([[1.0, 0.0]]), NUM_CLASSES, k=2)
    assert scores.tolist() == [[0, 1, 0, 1]]
    assert scores.argmax(dim=1).tolist() == [1]


def test_length_does_not_matter_and_a_feature_of_zeros_is_taken():
    (bank, labels), (queries, _) = clusters(0, 50), clusters(1, 10)
    scores = knn_scores(bank, labels, queries, NUM_CLASSES, k=5)
    longer = knn_scores(bank * 7, labels, queries / 3, NUM_CLASSES, k=5)
    torch.testing.assert_close(longer, scores, atol=1e-6, rtol=1e-6)
    assert knn_scores(bank, labels, torch.zeros(1, 6), NUM_CLASSES, k=5).isfinite().all()


def test_a_tiny_temperature_is_the_nearest_neighbour():
    (bank, labels), (queries, _) = clusters(0, 50), clusters(1, 10)
    sharp = knn_scores(bank, labels, queries, NUM_CLASSES, k=20, temperature=1e-4)
    assert torch.equal(
        sharp.argmax(1), knn_scores(bank, labels, queries, NUM_CLASSES, k=1).argmax(1)
    )


@pytest.mark.parametrize("k", [0, 51])
def test_k_beyond_the_bank_is_refused(k: int):
    bank, labels = clusters(0, 50)
    with pytest.raises(SslcliError, match="50 labelled pictures"):
        knn_scores(bank, labels, bank, NUM_CLASSES, k)


def test_means_of_one_hot_values_are_the_shares_of_votes() -> None:
    generator = torch.Generator().manual_seed(3)
    bank, queries = torch.randn(30, 5, generator=generator), torch.randn(7, 5, generator=generator)
    labels = torch.arange(30) % 4
    votes = knn_scores(bank, labels, queries, 4, k=9, temperature=0.1)
    one_hot = torch.eye(4, dtype=torch.bool)[labels]
    means = knn_means(bank, one_hot, queries, k=9, temperature=0.1, block=3)
    assert torch.allclose(means, votes / votes.sum(dim=1, keepdim=True), atol=1e-12)
