"""Fits the linear probe, a deterministic logistic regression on frozen features.

The objective is mean cross-entropy + (l2 / 2) * ||W||^2 on standardised features; the bias is not
penalised. It is minimised to about 1e-6 at every l2, whatever strengths were fitted before.
scikit-learn's C is 1 / (l2 * N): the data term here is a mean, so that `l2` means the same for any
number of pictures.

Shapes: N images, D the features' width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from sslcli.evaluation.logistic_regression import LogisticRegression, Standardizer
from sslcli.evaluation.newton import solve
from sslcli.evaluation.scores import top_k_accuracy


@dataclass(frozen=True, eq=False)
class Probe:
    """Classifies standardised features by `weight` (K, D) and `bias` (K,)."""

    weight: Tensor
    bias: Tensor
    standardizer: Standardizer

    def logits(self, features: Tensor) -> Tensor:
        """Returns logits (N, K) of features (N, D)."""
        return torch.addmm(self.bias, self.standardizer(features), self.weight.T)


Labelled: TypeAlias = tuple[Tensor, Tensor]
"""Features (N, D) and what is to be told from them, (N, …)."""
Fit: TypeAlias = Callable[[Tensor, Tensor, Sequence[float], Standardizer | None], list[Probe]]
"""Takes both, strengths of l2 and what standardises; returns a probe for each strength."""
Score: TypeAlias = Callable[[Tensor, Tensor], float]
"""Takes logits and what is true; returns more where they are better."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Holds the probe that was chosen, and each l2's validation accuracy, or other score."""

    probe: Probe
    l2: float
    accuracies: dict[float, float]
    """Validation accuracies by l2, the strongest first."""

    @property
    def undecided(self) -> bool:
        """Tells whether several strengths all have the same validation accuracy."""
        return len(self.accuracies) > 1 and len(set(self.accuracies.values())) == 1

    @property
    def at_edge(self) -> bool:
        """Tells whether the best l2 ends the grid, so that a better one may lie beyond."""
        edges = (min(self.accuracies), max(self.accuracies))
        return len(self.accuracies) > 1 and self.l2 in edges and not self.undecided

    @property
    def doubt(self) -> str | None:
        """Completes "l2 is …" with a warning for the user; None where there is no doubt."""
        if self.undecided:
            return (
                f"{self.l2:g}, the middle of the grid: validation cannot decide, every l2 is "
                f"as good there (more validation pictures may tell)"
            )
        if self.at_edge:
            return f"{self.l2:g}, the edge of the grid; a better one may lie beyond (set l2=[…])"
        return None


def fit_probe(
    features: Tensor, labels: Tensor, num_classes: int, l2: float, start: Probe | None = None
) -> Probe:
    """Returns the probe that minimises the objective on features (N, D).

    `labels` (N,) are int64. `start`, a probe of the same shape with its own standardizer, saves
    time.
    """
    problem = LogisticRegression(features, labels, num_classes)
    weights = solve(problem, [l2], None if start is None else _joined(start))
    return _probe(problem, weights[0])


def select_probe(
    train_features: Tensor,
    train_labels: Tensor,
    val_features: Tensor,
    val_labels: Tensor,
    num_classes: int,
    grid: Sequence[float],
    refit: bool = True,
    standardizer: Standardizer | None = None,
) -> Selection:
    """Chooses the l2 of `grid` that is best on validation, and refits on train + val.

    `refit=False` leaves the probe fitted on the training part alone, for protocols that count
    labels. `standardizer`, fitted to more pictures, then needs none of their labels: a dimension
    that hardly varies in ten pictures would explode on others. `middle_of_tied` chooses among
    strengths with the same validation accuracy. Strengths are fitted from the strongest, two
    together, until two are worse than the best, on average by half a standard error of its
    accuracy: weaker ones overfit more, and take longest.

    Source: Kornblith et al. 2019, SimCLR (Chen et al. 2020) App. B.8: L-BFGS, no augmentation, l2
    chosen on validation among 45 log-spaced values in 1e-6 ... 1e5, then fitted on both. Differs:
    the features are standardised, so that one grid serves encoders of any scale; Newton steps.
    """
    assert grid, "an empty grid has no best l2"
    assert standardizer is None or not refit, "what is fitted again is standardised again"
    problem = LogisticRegression(train_features, train_labels, num_classes, standardizer)
    fits: dict[float, Probe] = {}
    accuracies: dict[float, float] = {}
    start: Tensor | None = None
    strengths = sorted(set(grid), reverse=True)
    for pair in (strengths[first : first + 2] for first in range(0, len(strengths), 2)):
        solved = solve(problem, pair, start)
        start = solved[-1]
        for l2, weights in zip(pair, solved, strict=True):
            fits[l2] = _probe(problem, weights)
            accuracies[l2] = top_k_accuracy(fits[l2].logits(val_features), val_labels)
        if _have_passed_the_best(accuracies, pair, len(val_labels)):
            break
    best = middle_of_tied(accuracies)
    probe = fits[best]
    if refit:
        features, labels = (
            torch.cat([train_features, val_features]),
            torch.cat([train_labels, val_labels]),
        )
        probe = fit_probe(features, labels, num_classes, best, start=probe)
    return Selection(probe, best, accuracies)


def _have_passed_the_best(accuracies: dict[float, float], pair: list[float], size: int) -> bool:
    """Tells whether the last two strengths are worse than an earlier one of `size` pictures."""
    highest, last = max(accuracies.values()), [accuracies[l2] for l2 in pair]
    error = math.sqrt(highest * (1 - highest) / size)
    return max(last) < highest and sum(last) / len(last) < highest - error / 2


def select_fit(
    fit: Fit,
    score: Score,
    train: Labelled,
    val: Labelled,
    grid: Sequence[float],
    refit: bool = True,
    standardizer: Standardizer | None = None,
) -> Selection:
    """Chooses as `select_probe` does, for other kinds of labels: the l2 of the best `score`."""
    assert grid, "an empty grid has no best l2"
    assert standardizer is None or not refit, "what is fitted again is standardised again"
    strengths = sorted(set(grid), reverse=True)
    fits = dict(zip(strengths, fit(*train, strengths, standardizer), strict=True))
    scores = {l2: score(probe.logits(val[0]), val[1]) for l2, probe in fits.items()}
    best = middle_of_tied(scores)
    if not refit:
        return Selection(fits[best], best, scores)
    features, labels = torch.cat([train[0], val[0]]), torch.cat([train[1], val[1]])
    (probe,) = fit(features, labels, [best], None)
    return Selection(probe, best, scores)


def middle_of_tied(accuracies: dict[float, float]) -> float:
    """Returns the l2 with the highest accuracy; of several, the middle in strength.

    Validation says nothing against the tied strengths on either side of the middle: it is the
    furthest from those that are worse, and no edge of the grid. Of two middle ones the nearer to
    the grid's middle is taken, then the stronger.
    """
    grid = sorted(accuracies, reverse=True)
    best = max(accuracies.values())
    tied = [rank for rank, l2 in enumerate(grid) if accuracies[l2] == best]
    middle_pair = tied[(len(tied) - 1) // 2 : len(tied) // 2 + 1]
    return grid[min(middle_pair, key=lambda rank: abs(2 * rank - (len(grid) - 1)))]


def _joined(probe: Probe) -> Tensor:
    return torch.cat([probe.weight, probe.bias[:, None]], dim=1)


def _probe(problem: LogisticRegression, weights: Tensor) -> Probe:
    weight, bias = weights[:, :-1].contiguous(), weights[:, -1].contiguous()
    return Probe(weight, bias, problem.standardizer)
