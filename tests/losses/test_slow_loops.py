"""Losses against slow loops written from the papers, values and gradients, in Python's floats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sslcli import losses

Rows = list[list[float]]
GENERATOR = torch.Generator().manual_seed(3)
A, B = torch.randn(2, 5, 4, generator=GENERATOR, dtype=torch.float64)
QUEUE = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64)
DIRECTIONS = losses.random_directions(4, 3).double()
LABELS = [0, 1, 0, 2, 1]


def unit(row: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def column(rows: Rows, j: int) -> list[float]:
    return [row[j] for row in rows]


def average(values: list[float]) -> float:
    return sum(values) / len(values)


def slow_dcl(a: Rows, b: Rows, temperature: float, sigma: float | None) -> float:
    """Yeh et al. 2022, an anchor at a time."""
    a, b = [unit(r) for r in a], [unit(r) for r in b]
    z, n = a + b, len(a)
    softmax = [1.0] * n
    if sigma is not None:
        shares = [math.exp(dot(x, y) / sigma) for x, y in zip(a, b, strict=True)]
        softmax = [2 - n * share / sum(shares) for share in shares]
    total = 0.0
    for i in range(2 * n):
        positive = (i + n) % (2 * n)
        others = [k for k in range(2 * n) if k not in (i, positive)]
        negatives = sum(math.exp(dot(z[i], z[k]) / temperature) for k in others)
        total += -softmax[i % n] * dot(z[i], z[positive]) / temperature + math.log(negatives)
    return total / (2 * n)


def slow_sup_con(a: Rows, b: Rows, labels: list[int], temperature: float) -> float:
    """Khosla et al. 2020, eq. 2."""
    z, classes = [unit(r) for r in a + b], labels * 2
    total = 0.0
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        log_all = math.log(sum(math.exp(dot(z[i], z[k]) / temperature) for k in others))
        positives = [k for k in others if classes[k] == classes[i]]
        total += -average([dot(z[i], z[p]) / temperature - log_all for p in positives])
    return total / len(z)


def slow_info_nce(queries: Rows, keys: Rows, temperature: float) -> float:
    queries, keys = [unit(r) for r in queries], [unit(r) for r in keys]
    terms = []
    for i, query in enumerate(queries):
        shares = [math.exp(dot(query, key) / temperature) for key in keys]
        terms.append(-math.log(shares[i] / sum(shares)))
    return average(terms)


def slow_seed(student: Rows, teacher: Rows, queue: Rows) -> float:
    """Fang et al. 2021, eq. 3 to 6: temperatures 0.3 of the student, 0.1 of the teacher."""
    queue = [unit(r) for r in queue]
    terms = []
    for s, t in zip([unit(r) for r in student], [unit(r) for r in teacher], strict=True):
        seen = [[math.exp(dot(z, d) / tau) for d in [*queue, t]] for z, tau in ((t, 0.1), (s, 0.3))]
        target, share = ([x / sum(row) for x in row] for row in seen)
        terms.append(-sum(p * math.log(q) for p, q in zip(target, share, strict=True)))
    return average(terms)


def slow_queue(queries: Rows, keys: Rows, queue: Rows, temperature: float) -> float:
    """He et al. 2020, eq. 1."""
    queries, keys, queue = ([unit(r) for r in rows] for rows in (queries, keys, queue))
    terms = []
    for query, key in zip(queries, keys, strict=True):
        own = math.exp(dot(query, key) / temperature)
        others = [math.exp(dot(query, row) / temperature) for row in queue]
        terms.append(-math.log(own / (own + sum(others))))
    return average(terms)


def slow_barlow_twins(a: Rows, b: Rows, off_diagonal: float) -> float:
    """Zbontar et al. 2021, eq. 1 and 2, an entry of the matrix at a time."""

    def standardized(values: list[float]) -> list[float]:
        mean = average(values)
        variance = average([(v - mean) ** 2 for v in values])
        return [(v - mean) / math.sqrt(variance + 1e-5) for v in values]

    width, total = len(a[0]), 0.0
    for i in range(width):
        for j in range(width):
            correlation = average(
                [x * y for x, y in zip(standardized(column(a, i)), standardized(column(b, j)), strict=True)]
            )  # fmt: skip
            total += (1 - correlation) ** 2 if i == j else off_diagonal * correlation**2
    return total


def slow_vicreg(a: Rows, b: Rows) -> float:
    """Bardes et al. 2022, eq. 1 to 6, with the published weights, as the official code averages."""
    width, n = len(a[0]), len(a)
    invariance = average(
        [(x - y) ** 2 for r, s in zip(a, b, strict=True) for x, y in zip(r, s, strict=True)]
    )
    total = 25 * invariance
    for rows in (a, b):
        means = [average(column(rows, j)) for j in range(width)]

        def cov(i: int, j: int, rows: Rows = rows, means: list[float] = means) -> float:
            return sum((r[i] - means[i]) * (r[j] - means[j]) for r in rows) / (n - 1)

        hinges = [max(0.0, 1 - math.sqrt(cov(j, j) + 1e-4)) for j in range(width)]
        total += 25 * average(hinges) / 2
        total += sum(cov(i, j) ** 2 for i in range(width) for j in range(width) if i != j) / width
    return total


def slow_sigreg(z: Rows, directions: Rows) -> float:
    """Balestriero and LeCun 2025: Epps-Pulley by trapezoids on 33 knots from -3 to 3."""
    knots = [-3 + 6 * k / 32 for k in range(33)]
    statistics = []
    for j in range(len(directions[0])):
        projected = [dot(row, column(directions, j)) for row in z]
        heights = []
        for t in knots:
            real = average([math.cos(t * x) for x in projected])
            imaginary = average([math.sin(t * x) for x in projected])
            gaussian = math.exp(-t * t / 2)
            heights.append(((real - gaussian) ** 2 + imaginary**2) * gaussian)
        area = sum((x + y) / 2 * 6 / 32 for x, y in itertools.pairwise(heights))
        statistics.append(len(z) * area)
    return average(statistics)


def slow_swav(scores: list[Rows], epsilon: float, iterations: int, temperature: float) -> float:
    """Caron et al. 2020: Sinkhorn-Knopp on the first two views, swapped with all others."""

    def assigned(rows: Rows) -> Rows:
        shares = [[math.exp(x / epsilon) for x in row] for row in rows]
        for _ in range(iterations):
            sums = [sum(column(shares, k)) for k in range(len(shares[0]))]
            shares = [[x / sums[k] for k, x in enumerate(row)] for row in shares]
            shares = [[x / sum(row) for x in row] for row in shares]
        return shares

    terms = []
    for v, target in enumerate(map(assigned, scores[:2])):
        for w, view in enumerate(scores):
            if v != w:
                for q, row in zip(target, view, strict=True):
                    log_all = math.log(sum(math.exp(x / temperature) for x in row))
                    terms.append(
                        -sum(s * (x / temperature - log_all) for s, x in zip(q, row, strict=True))
                    )
    return average(terms)


def swav(a: Tensor, b: Tensor) -> Tensor:
    scores = [a, b, a.flip(0)]
    targets = [losses.sinkhorn(view, 0.5, 3) for view in scores[:2]]
    return losses.cross_view_entropy(targets, scores, 0.1)


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    variance = (losses.variance(a) + losses.variance(b)) / 2
    return (
        25 * losses.invariance(a, b) + 25 * variance + losses.covariance(a) + losses.covariance(b)
    )


CASES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Rows, Rows], float]]] = {
    "DCL": (lambda a, b: losses.dcl(a, b, 0.3), lambda a, b: slow_dcl(a, b, 0.3, None)),
    "DCLW": (lambda a, b: losses.dcl(a, b, 0.3, 0.5), lambda a, b: slow_dcl(a, b, 0.3, 0.5)),
    "DCLW in blocks": (
        lambda a, b: losses.dcl(a, b, 0.3, 0.5, block=3),
        lambda a, b: slow_dcl(a, b, 0.3, 0.5),
    ),
    "SupCon": (
        lambda a, b: losses.sup_con(torch.cat([a, b]), torch.tensor(LABELS), 0.3),
        lambda a, b: slow_sup_con(a, b, LABELS, 0.3),
    ),
    "SEED": (
        lambda a, b: losses.similarity_entropy(a, b, QUEUE, 0.3, 0.1),
        lambda a, b: slow_seed(a, b, QUEUE.tolist()),
    ),
    "InfoNCE": (lambda a, b: losses.info_nce(a, b, 0.3), lambda a, b: slow_info_nce(a, b, 0.3)),
    "InfoNCE with a queue": (
        lambda a, b: losses.info_nce_with_queue(a, b, QUEUE, 0.3),
        lambda a, b: slow_queue(a, b, QUEUE.tolist(), 0.3),
    ),
    "cosine": (
        losses.mean_cosine,
        lambda a, b: average([dot(unit(x), unit(y)) for x, y in zip(a, b, strict=True)]),
    ),
    "Barlow Twins": (
        lambda a, b: losses.barlow_twins(a, b, 0.1),
        lambda a, b: slow_barlow_twins(a, b, 0.1),
    ),
    "VICReg": (vicreg, slow_vicreg),
    "SIGReg": (
        lambda a, b: losses.sigreg(a, DIRECTIONS),
        lambda a, b: slow_sigreg(a, DIRECTIONS.tolist()),
    ),
    "SwAV": (swav, lambda a, b: slow_swav([a, b, a[::-1]], 0.5, 3, 0.1)),
}


@pytest.mark.parametrize("name", list(CASES))
def test_equals_the_papers_loop(name: str) -> None:
    fast, slow = CASES[name]
    assert fast(A, B).item() == pytest.approx(slow(A.tolist(), B.tolist()), rel=1e-10)


@pytest.mark.parametrize("name", [name for name in CASES if name != "SwAV"])
def test_gradient_is_that_of_the_papers_loop(name: str) -> None:
    """By central differences; SwAV's assignments are targets, and get no gradient."""
    fast, slow = CASES[name]
    a = A.clone().requires_grad_()
    fast(a, B).backward()
    assert a.grad is not None
    nudge = 1e-6
    for i, j in ((0, 0), (2, 1), (4, 3)):
        up, down = A.clone(), A.clone()
        up[i, j] += nudge
        down[i, j] -= nudge
        slope = (slow(up.tolist(), B.tolist()) - slow(down.tolist(), B.tolist())) / (2 * nudge)
        assert a.grad[i, j].item() == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("name", list(CASES))
def test_half_precision_and_autocast_are_computed_in_float32(name: str) -> None:
    fast, _ = CASES[name]
    a, b = A.bfloat16(), B.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = fast(a, b)
    assert loss.dtype == torch.float32
    exact = fast(a.double(), b.double()).item()
    assert loss.item() == pytest.approx(exact, rel=1e-4)


def test_sinkhorn_uses_all_prototypes_alike() -> None:
    scores = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    scores[:, 0] += 1  # the prototype that all prefer
    assigned = losses.sinkhorn(scores, 0.5, 50)
    torch.testing.assert_close(assigned.sum(dim=1), torch.ones(60))
    torch.testing.assert_close(assigned.sum(dim=0), torch.full((5,), 12.0), rtol=1e-3, atol=0)


def test_sinkhorn_bears_scores_whose_exponentials_overflow() -> None:
    assigned = losses.sinkhorn(torch.tensor([[100.0, -100.0], [-100.0, 100.0]]), 0.05, 3)
    torch.testing.assert_close(assigned, torch.eye(2))


def test_a_gaussian_is_more_gaussian_than_what_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(2000, 4, generator=generator)
    uniform = (torch.rand(2000, 4, generator=generator) - 0.5) * 12**0.5
    directions = losses.random_directions(4, 64)
    scores = [losses.sigreg(z, directions).item() for z in (gaussian, uniform, gaussian * 2)]
    assert scores[0] < scores[1] < scores[2]
    assert losses.sigreg(torch.zeros(2000, 4), directions).item() > scores[2]


def test_masked_errors_count_the_hidden_patches_alone() -> None:
    predicted, patches = torch.randn(2, 3, 4, 5, generator=GENERATOR, dtype=torch.float64)
    hidden = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1]]).bool()
    chosen = [(n, p) for n in range(3) for p in range(4) if hidden[n, p]]
    squares = [(predicted[n, p] - patches[n, p]).square().mean().item() for n, p in chosen]
    absolutes = [(predicted[n, p] - patches[n, p]).abs().mean().item() for n, p in chosen]
    squared = losses.hidden_squared_error(predicted, patches, hidden)
    absolute = losses.hidden_absolute_error(predicted, patches, hidden)
    assert squared.item() == pytest.approx(average(squares))
    assert absolute.item() == pytest.approx(average(absolutes))


def test_patches_are_normalised_each_by_itself() -> None:
    patches = torch.randn(2, 3, 50, generator=GENERATOR) * 3 + 7
    normalized = losses.normalized_patches(patches)
    torch.testing.assert_close(normalized.mean(2), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalized.std(2), torch.ones(2, 3), atol=1e-4, rtol=0)
