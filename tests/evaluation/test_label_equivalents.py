"""How many times the labels pretraining is worth: known cases, and the interval's coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from sslcli.evaluation.label_equivalents import LabelEquivalent, label_equivalents

COUNTS = [50, 100, 200, 450, 900, 2000, 4500, 9000]


def accuracy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """A learning curve as it is found: a power law."""
    return 0.95 - 0.9 * counts**-0.35


def simulated(seed: int, factor: float, subsets: int, shared: float) -> list[LabelEquivalent]:
    """A curve that is worth `factor` times the labels; `shared`: the part of noise both have."""
    draw = np.random.default_rng(seed)
    counts = np.array(COUNTS, dtype=np.float64)
    common = draw.normal(size=(subsets, 1))
    scale = 0.03 * (counts / counts[0]) ** -0.7

    def noisy(factor: float) -> NDArray[np.float64]:
        own = draw.normal(size=(subsets, len(counts)))
        noise = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
        return accuracy(counts * factor) + scale * noise

    reference = noisy(1.0)
    return label_equivalents(COUNTS, noisy(factor), reference)


@pytest.mark.parametrize("shared", [0.0, 0.7])
@pytest.mark.parametrize("subsets", [3, 5])
def test_the_interval_holds_the_truth_as_often_as_it_says(subsets: int, shared: float) -> None:
    held = [
        (found.low or 0.0) <= 3.0 <= (found.high or math.inf)
        for seed in range(150)
        for found in simulated(seed, 3.0, subsets, shared)
        if 3 * found.num_labels <= COUNTS[-1]
    ]
    assert 0.90 <= sum(held) / len(held) <= 0.98


def test_without_noise_the_ratio_is_the_truth() -> None:
    counts = np.array(COUNTS, dtype=np.float64)
    reference = np.log(counts) / 20  # straight in the logarithm, as the interpolation is
    found = label_equivalents(
        COUNTS, np.tile(np.log(4 * counts) / 20, (3, 1)), np.tile(reference, (3, 1))
    )
    for equivalent in found:
        assert equivalent.gain == pytest.approx(math.log(4) / 20)
        if 4 * equivalent.num_labels < COUNTS[-1]:
            assert equivalent.ratio == pytest.approx(4.0, rel=0.01)
            assert equivalent.low == pytest.approx(4.0, rel=0.02)
            assert equivalent.high == pytest.approx(4.0, rel=0.02)
            assert equivalent.is_better
        if 4 * equivalent.num_labels > COUNTS[-1]:
            assert equivalent.ratio is None
            assert equivalent.high is None
            assert equivalent.low == pytest.approx(COUNTS[-1] / equivalent.num_labels)


def test_a_curve_below_the_whole_reference_is_open_below() -> None:
    found = label_equivalents([10, 100], np.full((3, 2), 0.1), np.tile([0.5, 0.6], (3, 1)))
    assert [(each.ratio, each.low, each.is_worse) for each in found] == [(None, None, True)] * 2
    assert [each.high for each in found] == pytest.approx([1.0, 0.1])


def test_equal_curves_are_neither_better_nor_worse() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 5, len(COUNTS)))
    curve = accuracy(np.array(COUNTS, dtype=np.float64))
    found = label_equivalents(COUNTS, curve + noise[0], curve + noise[1])
    assert sum(each.is_better or each.is_worse for each in found) <= 1


def test_a_single_subset_has_no_interval() -> None:
    found = label_equivalents([10, 100], np.array([[0.55, 0.7]]), np.array([[0.5, 0.6]]))
    assert found[0].ratio == pytest.approx(10**0.5, rel=0.02)
    assert (found[0].low, found[0].high, found[0].is_better) == (None, None, False)
