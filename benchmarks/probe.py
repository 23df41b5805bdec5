"""The probe and kNN against scikit-learn: the same features, the same l2, one table.

    python benchmarks/probe.py

Targets: accuracy within 0.3 points and at least 3 times faster at an objective no worse than scikit-learn's;
kNN: the same predictions, at least 3 times faster. Features: 128 random ReLU projections of the
pixels, and the pixels themselves.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn.functional import cross_entropy

from sslcli.evaluation.features import pixels
from sslcli.evaluation.knn import knn_scores
from sslcli.evaluation.probe import Probe, fit_probe, select_probe
from sslcli.evaluation.scores import top_k_accuracy

SAMPLE = Path(__file__).parents[1] / "sslcli" / "data" / "fashion_12k.npz"
NUM_CLASSES = 10
GRID = [10.0**exponent for exponent in range(-6, 2)]
T = TypeVar("T")


def main() -> None:
    with np.load(SAMPLE) as sample:
        train, test = pixels(sample["x_train"]), pixels(sample["x_test"])
        train_labels, test_labels = (
            torch.tensor(sample[key]).long() for key in ("y_train", "y_test")
        )
    projection = torch.randn(784, 128, generator=torch.Generator().manual_seed(0)) / 28
    features = (train @ projection).relu(), (test @ projection).relu()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; times are the best of 3 runs"
    )
    print(
        f"{'features':<9} {'l2':>7} | {'sslcli':>8} {'sklearn':>8} {'ratio':>6} | accuracy      | objective"
    )
    for name, (x, x_test) in {"128": features, "pixels": (train, test)}.items():
        for l2 in (1e-1, 1e-2, 1e-3, 1e-4):
            compare_probes(name, x, train_labels, x_test, test_labels, l2)
    for name, (x, x_test) in {"128": features, "pixels": (train, test)}.items():
        compare_neighbours(name, x, train_labels, x_test, test_labels)
    for name, x in {"128": features[0], "pixels": train}.items():
        parts = x[:8000], train_labels[:8000], x[8000:], train_labels[8000:]
        seconds, selection = timed(partial(select_probe, *parts, NUM_CLASSES, GRID), repeats=1)
        print(
            f"{name:<9} {len(GRID)} strengths and the last fit in {seconds:.2f} s: l2 {selection.l2:g}"
        )


def compare_probes(
    name: str, x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor, l2: float
) -> None:
    seconds, probe = timed(lambda: fit_probe(x, y, NUM_CLASSES, l2))
    standardized = probe.standardizer(x).numpy()
    model = LogisticRegression(C=1 / (l2 * len(x)), max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs, _ = timed(lambda: model.fit(standardized, y.numpy()))
    reference = Probe(
        torch.tensor(model.coef_), torch.tensor(model.intercept_).float(), probe.standardizer
    )
    accuracies = [100 * top_k_accuracy(one.logits(x_test), y_test) for one in (probe, reference)]
    losses = [objective(one, x, y, l2) for one in (probe, reference)]
    print(
        f"{name:<9} {l2:>7g} | {seconds:>7.2f}s {theirs:>7.2f}s {theirs / seconds:>5.1f}x |"
        f" {accuracies[0]:.2f} {accuracies[1]:.2f}   | {losses[0]:.6f} {losses[1]:.6f}"
    )


def compare_neighbours(name: str, x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor) -> None:
    seconds, predictions = timed(lambda: knn_scores(x, y, x_test, NUM_CLASSES, k=20).argmax(dim=1))
    model = KNeighborsClassifier(
        20,
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / 0.07),
    ).fit(x.numpy(), y.numpy())
    theirs, reference = timed(lambda: torch.tensor(model.predict(x_test.numpy())))
    same = int((predictions == reference).sum())
    accuracy = 100 * float((predictions == y_test).float().mean())
    print(
        f"{name:<9} {'kNN':>7} | {seconds:>7.2f}s {theirs:>7.2f}s {theirs / seconds:>5.1f}x |"
        f" {accuracy:.2f}         | {same} of {len(y_test)} predictions the same"
    )


def timed(work: Callable[[], T], repeats: int = 3) -> tuple[float, T]:
    """Seconds of the fastest of `repeats` runs, and what the last returned."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def objective(probe: Probe, x: Tensor, y: Tensor, l2: float) -> float:
    return float(cross_entropy(probe.logits(x), y) + l2 / 2 * probe.weight.square().sum())


if __name__ == "__main__":
    main()
