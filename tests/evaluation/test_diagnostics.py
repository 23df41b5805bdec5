"""What features are like, against definitions written out as loops, and where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sslcli.evaluation.diagnostics import (
    alignment,
    dead_dimensions,
    dimension_std,
    findings,
    lidar,
    separation,
    spectrum,
    uniformity,
)


def gaussian(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(row: Tensor) -> np.ndarray:
    values = row.double().numpy()
    return values / np.linalg.norm(values)


def slow_uniformity(h: Tensor) -> float:
    kernels = []
    for i in range(len(h)):
        for j in range(i):
            kernels.append(math.exp(-2 * ((unit(h[i]) - unit(h[j])) ** 2).sum()))
    return math.log(sum(kernels) / len(kernels))


def slow_lidar(h: Tensor, delta: float) -> float:
    num_views, num_pictures, width = h.shape
    values = h.double().numpy()
    mean = values.reshape(-1, width).mean(axis=0)
    between, within = np.zeros((width, width)), delta * np.eye(width)
    for picture in range(num_pictures):
        own = values[:, picture].mean(axis=0)
        between += np.outer(own - mean, own - mean) / num_pictures
        for view in range(num_views):
            away = values[view, picture] - own
            within += np.outer(away, away) / (num_pictures * num_views)
    eigenvalues, axes = np.linalg.eigh(within)
    root = axes @ np.diag(eigenvalues**-0.5) @ axes.T
    found = np.linalg.eigvalsh(root @ between @ root).clip(0)
    return math.exp(
        -sum((x / found.sum() + 1e-7) * math.log(x / found.sum() + 1e-7) for x in found)
    )


@pytest.mark.parametrize(
    "h",
    [gaussian(40, 6), gaussian(40, 6).relu() + 0.1, 1e-3 * gaussian(30, 4), gaussian(12, 30) + 2],
)
@pytest.mark.parametrize("block", [7, 1024])
def test_uniformity_is_the_papers_whatever_the_block(h: Tensor, block: int) -> None:
    assert uniformity(h, block=block) == pytest.approx(slow_uniformity(h), abs=1e-5)


def test_uniformity_of_equal_of_two_and_of_uniform_directions() -> None:
    assert uniformity(
        torch.rand(1, 16).repeat(50, 1) * torch.linspace(1, 9, 50)[:, None]
    ) == pytest.approx(0, abs=1e-5)
    assert uniformity(torch.tensor([[1.0, 0.0], [0.0, 3.0]])) == pytest.approx(-4)
    assert uniformity(torch.tensor([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-8)
    # On the circle, E exp(-2 (2 - 2 cos)) = exp(-4) I_0(4).
    circle = torch.linspace(0, 2 * math.pi, 2001)[:-1]
    expected = -4 + math.log(float(torch.special.i0(torch.tensor(4.0, dtype=torch.float64))))
    pairs = 2000 * 1999 / 2
    with_self = (
        (math.exp(expected) * 2000**2 - 2000) / 2 / pairs
    )  # the mean over pairs leaves a point and itself out
    assert uniformity(torch.stack([circle.cos(), circle.sin()], dim=1)) == pytest.approx(
        math.log(with_self), abs=1e-5
    )


def test_alignment_is_the_mean_squared_distance_of_directions() -> None:
    a, b = gaussian(30, 5), gaussian(30, 5, seed=4)
    slow = np.mean([((unit(a[i]) - unit(b[i])) ** 2).sum() for i in range(30)])
    assert alignment(a, b) == pytest.approx(slow, abs=1e-5)
    assert alignment(a, 3 * a) == pytest.approx(0, abs=1e-6)
    assert alignment(a, -a) == pytest.approx(4, abs=1e-5)
    assert alignment(torch.eye(4), torch.eye(4).flip(0)) == pytest.approx(2)


@pytest.mark.parametrize("silent", [False, True])
def test_separation_is_alignment_of_what_does_not_belong_together(silent: bool) -> None:
    a, b = gaussian(12, 5), gaussian(12, 5, seed=4) + 1
    if silent:
        a[3] = 0  # no direction
    others = [alignment(a[i : i + 1], b[j : j + 1]) for i in range(12) for j in range(12) if i != j]
    assert separation(a, b) == pytest.approx(float(np.mean(others)), abs=1e-5)


@pytest.mark.parametrize("shape", [(4, 30, 6), (2, 10, 16), (3, 5, 20)])
@pytest.mark.parametrize("delta", [1e-4, 1.0])
def test_lidar_is_the_rank_of_the_lda_matrix(shape: tuple[int, ...], delta: float) -> None:
    h = gaussian(1, *shape[1:]) + 0.3 * gaussian(*shape, seed=5)
    assert lidar(h, delta) == pytest.approx(slow_lidar(h, delta), rel=1e-5)


def test_lidar_counts_directions_that_views_leave_alone() -> None:
    pictures = torch.zeros(64, 8)
    pictures[:, :6] = torch.tensor(
        [[1.0 if number >> bit & 1 else -1.0 for bit in range(6)] for number in range(64)]
    )
    same = pictures.expand(2, -1, -1)
    assert lidar(same) == pytest.approx(6, rel=1e-4)
    # Of six directions in which pictures differ, views change three as much: these hardly count.
    moved = torch.stack([same[0], same[1]])
    moved[0, :, :3] += 5 * gaussian(64, 3)
    assert 3 <= lidar(moved) < 3.1
    assert lidar(torch.ones(2, 10, 4)) == pytest.approx(1, abs=1e-4)  # nothing differs


def test_spectrum_is_the_std_along_principal_directions() -> None:
    h = gaussian(50, 4) @ torch.diag(torch.tensor([4.0, 2.0, 1.0, 0.0])) + 7
    expected = np.linalg.svd((h - h.mean(dim=0)).double().numpy(), compute_uv=False) / math.sqrt(50)
    found = spectrum(h)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found.diff() <= 0).all()
    assert float(found.square().sum()) == pytest.approx(float(dimension_std(h).square().sum()))
    assert len(spectrum(gaussian(5, 9))) == 5


def test_dead_dimensions_are_those_that_are_the_same_for_every_picture() -> None:
    h = gaussian(100, 8)
    h[:, 2] = 3.0
    h[:, 5] = 0.0
    assert dead_dimensions(h) == 0.25
    assert dead_dimensions(1e-6 * h) == 0.25
    assert dead_dimensions(torch.rand(1, 8).repeat(100, 1)) == 1
    assert dead_dimensions(torch.zeros(10, 8)) == 1
    rare = torch.zeros(1000, 2)
    rare[:, 0] = 1
    rare[7, 1] = 1  # a unit that speaks for one picture in a thousand is alive
    assert dead_dimensions(rare) == 0.5


def test_words_are_said_where_something_is_wrong_only() -> None:
    assert findings(0.1, 0.3, 1.0) == []
    assert findings(0.1) == []
    (dead,) = findings(0.5, 0.3, 1.0)
    assert "50 % of the features' dimensions are the same for every picture" in dead
    (views,) = findings(0.0, 0.95, 1.0)
    assert "hardly closer" in views
