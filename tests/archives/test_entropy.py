"""Symbols come back as they were, in about as few bytes as their columns' statistics allow."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from sslcli.archives.entropy import CODINGS, Damaged, Packed, Symbols, packed, unpacked

RNG = np.random.default_rng(0)


def bell(num: int, width: int, levels: int) -> Symbols:
    """Columns of bell-shaped symbols, each with a middle of its own."""
    middles = RNG.uniform(0.3, 0.7, width) * levels
    drawn = RNG.normal(middles, levels / 8, (num, width)).round().clip(0, levels - 1)
    return drawn.astype(np.uint8)


def entropy_bytes(symbols: Symbols) -> float:
    bits = 0.0
    for column in symbols.T:
        share = np.bincount(column)[np.bincount(column) > 0] / len(column)
        bits -= len(column) * float((share * np.log2(share)).sum())
    return bits / 8


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (1, 32), (300, 1), (257, 7)])
def test_symbols_come_back_as_they_were(coding: str, shape: tuple[int, int]) -> None:
    symbols = RNG.integers(0, 256, shape, dtype=np.uint8)
    content = CODINGS[coding].pack(symbols)
    assert np.array_equal(unpacked(Packed(coding, content), *shape), symbols)


@pytest.mark.parametrize("levels", [16, 64, 256])
def test_they_take_little_more_than_their_entropy(levels: int) -> None:
    symbols = bell(2000, 16, levels)
    chosen = packed(symbols)
    assert len(chosen.content) == min(len(c.pack(symbols)) for c in CODINGS.values())
    assert entropy_bytes(symbols) < len(chosen.content) < 1.05 * entropy_bytes(symbols)
    assert len(chosen.content) < len(zlib.compress(symbols.tobytes(), 9))


@pytest.mark.parametrize("coding", CODINGS)
def test_bytes_that_are_not_what_was_written_are_refused(coding: str) -> None:
    symbols = bell(200, 5, 64)
    content = CODINGS[coding].pack(symbols)
    for rows, columns in ((199, 5), (201, 5), (200, 6)):
        with pytest.raises(Damaged):
            unpacked(Packed(coding, content), rows, columns)
    with pytest.raises(Damaged):
        unpacked(Packed(coding, content[: len(content) // 2]), 200, 5)
    with pytest.raises(Damaged, match="coded by 'runes'"):
        unpacked(Packed("runes", content), 200, 5)
