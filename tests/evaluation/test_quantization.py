"""Numbers are rounded to the nearest of evenly spaced levels over the range of others."""

from __future__ import annotations

import numpy as np
import pytest

from sslcli.evaluation.quantization import BITS, Quantizer

RNG = np.random.default_rng(0)
CODES = (RNG.normal(size=(50, 6)) * [1, 10, 0.01, 1e6, 1, 1] + [0, 5, 0, 0, -300, 0]).astype(
    np.float32
)


@pytest.mark.parametrize("bits", BITS)
def test_no_number_of_the_range_moves_by_more_than_half_a_step(bits: int) -> None:
    quantizer = Quantizer.of(CODES, bits)
    levels = quantizer.levels(CODES)
    assert levels.dtype == np.uint8
    assert (levels.min(axis=0) == 0).all()
    assert (levels.max(axis=0) == 2**bits - 1).all()
    reach = CODES.max(axis=0) - CODES.min(axis=0)
    moved = np.abs(quantizer.values(levels) - CODES).max(axis=0) / reach
    assert (moved <= 0.5001 / (2**bits - 1)).all()
    assert (moved > 0.4 / (2**bits - 1)).all(), "the ranges are each number's own"
    assert quantizer.share_outside(CODES) == 0


def test_levels_stand_for_the_same_values_again() -> None:
    quantizer = Quantizer.of(CODES, 6)
    levels = quantizer.levels(CODES)
    assert np.array_equal(quantizer.levels(quantizer.values(levels)), levels)


def test_what_lies_outside_is_cut_and_counted() -> None:
    quantizer = Quantizer.of(CODES, 8)
    far = CODES.copy()
    far[:5, 0] = 99
    far[:10, 1] = -99
    assert quantizer.share_outside(far) == pytest.approx(15 / 300)
    values = quantizer.values(quantizer.levels(far))
    assert values[:5, 0] == pytest.approx(CODES[:, 0].max(), rel=1e-5)
    assert values[:10, 1] == pytest.approx(CODES[:, 1].min(), rel=1e-5)


def test_a_number_that_never_changes_is_kept_and_its_change_is_counted() -> None:
    dead = np.tile(np.float32([0.1, 7]), (4, 1))
    quantizer = Quantizer.of(dead, 4)
    assert np.array_equal(quantizer.values(quantizer.levels(dead)), dead)
    assert quantizer.share_outside(dead) == 0
    assert quantizer.share_outside(dead + np.float32([0, 1])) == 0.5
    assert np.array_equal(quantizer.values(quantizer.levels(dead + 1)), dead)
