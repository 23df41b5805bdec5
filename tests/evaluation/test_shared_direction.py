"""Features that share a direction, as those of deep sigmoid networks do: nothing may be lost.

Reference: NumPy in float64, from differences of the directions, 1 - cos = |u - v|^2 / 2.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sslcli.evaluation.diagnostics import alignment, separation, uniformity
from sslcli.evaluation.knn import knn_scores, neighbours
from sslcli.evaluation.precision import directions

NUM_CLASSES = 3


def cone(seed: int, count: int, spread: float, num_cones: int = 1) -> tuple[Tensor, Tensor]:
    """Float32 features (count, 40) in narrow cones around a few directions, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.randn(num_cones, 40, generator=torch.Generator().manual_seed(8)) * 2
    centres = torch.randn(NUM_CLASSES, 40, generator=torch.Generator().manual_seed(9))
    labels = torch.arange(count) % NUM_CLASSES
    inside = centres[labels] + torch.randn(count, 40, generator=generator)
    return axes[torch.arange(count) // NUM_CLASSES % num_cones] + spread * inside, labels


def squared_distances(a: Tensor, b: Tensor) -> np.ndarray:
    u, v = (
        h.double().numpy() / np.linalg.norm(h.double().numpy(), axis=1)[:, None] for h in (a, b)
    )
    squares: np.ndarray = np.square(u[:, None] - v[None]).sum(axis=2)
    return squares


@pytest.mark.parametrize(("spread", "num_cones"), [(1e-4, 1), (1e-5, 1), (1e-4, 4)])
def test_knn_votes_as_in_float64(spread: float, num_cones: int) -> None:
    (bank, labels), (queries, _) = (cone(seed, 180, spread, num_cones) for seed in (0, 1))
    distance = squared_distances(queries, bank)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :5]
    votes = np.stack([(labels.numpy()[nearest] == k).sum(axis=1) for k in range(NUM_CLASSES)], 1)
    scores = knn_scores(bank, labels, queries, NUM_CLASSES, k=5, temperature=0.07)
    np.testing.assert_allclose(scores.numpy(), votes, atol=1e-5)
    first = knn_scores(bank, labels, queries, NUM_CLASSES, k=1).argmax(dim=1)
    np.testing.assert_array_equal(first.numpy(), labels.numpy()[distance.argmin(axis=1)])


@pytest.mark.parametrize(("spread", "num_cones"), [(1e-4, 1), (1e-5, 1), (1e-4, 4)])
def test_neighbours_are_those_of_float64(spread: float, num_cones: int) -> None:
    h, _ = cone(0, 150, spread, num_cones)
    distance = squared_distances(h, h)
    np.fill_diagonal(distance, np.inf)
    expected = np.argsort(distance, axis=1, kind="stable")[:, :6]
    np.testing.assert_array_equal(neighbours(h, torch.arange(150), 6).numpy(), expected)


def test_distances_between_views_are_those_of_float64() -> None:
    a, _ = cone(0, 90, 1e-4)
    b = a + 1e-5 * torch.randn(90, 40, generator=torch.Generator().manual_seed(3))
    distance = squared_distances(a, b)
    assert alignment(a, b) == pytest.approx(distance.diagonal().mean(), rel=1e-6)
    others = distance[~np.eye(90, dtype=bool)].mean()
    assert separation(a, b) == pytest.approx(others, rel=1e-6)
    pairs = squared_distances(a, a)[np.triu_indices(90, 1)]
    assert uniformity(a) == pytest.approx(np.log(np.exp(-2 * pairs).mean()), rel=1e-6)


def test_directions_keep_tiny_features_and_zeros_and_do_not_change_their_input() -> None:
    h = torch.tensor([[3.0, 4.0], [3e-30, 4e-30], [0.0, 0.0]], dtype=torch.float64)
    kept = h.clone()
    torch.testing.assert_close(directions(h), h.new_tensor([[0.6, 0.8], [0.6, 0.8], [0, 0]]))
    assert torch.equal(h, kept)
