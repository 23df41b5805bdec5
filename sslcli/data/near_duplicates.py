"""Finds pictures that look alike: saved again, resized, made grey, cropped by a hair.

Two pictures are near where their perceptual hashes differ in at most MOST_BITS of 64 bits, and
their small grey copies correlate with LEAST_ALIKE or more. `benchmarks.near_duplicates` measures
what is found so, and what is found wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SIDE, SMALL = 32, 16
"""Sides of the grey copies: that which is hashed, and that which is compared."""
LOWEST = 8
"""Waves a side that are hashed."""
MOST_BITS = 7
"""Bits that may differ. Four bands of 16 bits: in one of them, at most one does."""
NUM_BANDS, BAND = 4, 16
LEAST_ALIKE = 0.98
FLATTEST = 2.0
"""Deviation of grey (0 to 255) below which a picture has nothing that could be compared."""
BLOCK = 4096


def perceptual_hashes(grey: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Returns a hash of 64 bits for each of (N, SIDE, SIDE) grey pictures.

    A bit says whether a wave's amplitude, of the lowest 8 by 8 of the cosine transform, is above
    the median of all but the mean's. Source: Zauner 2010, "Implementation and Benchmarking of
    Perceptual Image Hash Functions".
    """
    places = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(np.arange(LOWEST), 2 * places + 1) / (2 * SIDE))
    amplitudes = (waves @ grey @ waves.T).reshape(len(grey), LOWEST**2)
    middle = np.median(amplitudes[:, 1:], axis=1, keepdims=True)
    packed = np.packbits(amplitudes > middle, axis=1)
    hashes: NDArray[np.uint64] = packed.view(np.uint64)[:, 0]
    return hashes


def near_pairs(
    hashes: NDArray[np.uint64], small: NDArray[np.uint8], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns the pairs among `rows` that look alike: (P, 2), each with the smaller row first.

    `hashes` (N,), `small` (N, SMALL, SMALL) grey. Flat pictures have no pair. Of more than two with
    one hash, each is compared with the first of them, so that many copies do not make many more
    pairs.
    """
    rows = rows[small[rows].std(axis=(1, 2)) >= FLATTEST]
    unique, numbers = np.unique(hashes[rows], return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(len(unique)))
    first = rows[order[starts]]
    same = np.stack([first[numbers], rows], axis=1)
    candidates = np.concatenate([same[same[:, 0] < same[:, 1]], first[_close(unique)]])
    alike = [pairs[_alike(small, pairs)] for pairs in _blocks(candidates)]
    found = np.sort(np.concatenate([*alike, np.empty((0, 2), dtype=np.int64)]), axis=1)
    return np.unique(found, axis=0).astype(np.int64)


def _blocks(pairs: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(pairs), BLOCK):
        yield pairs[start : start + BLOCK]


def _close(unique: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Returns the pairs of different hashes that differ in at most MOST_BITS: (P, 2) indices."""
    flips = np.array([0, *(1 << bit for bit in range(BAND))], dtype=np.uint64)
    found = [np.empty((0, 2), dtype=np.int64)]
    for band in range(NUM_BANDS):
        keys = (unique >> np.uint64(BAND * band)) & np.uint64(2**BAND - 1)
        order = np.argsort(keys, kind="stable")
        in_order = keys[order]
        for flip in flips:
            starts = np.searchsorted(in_order, keys ^ flip, side="left")
            counts = np.searchsorted(in_order, keys ^ flip, side="right") - starts
            for left, right in _pairs_of_ranges(starts, counts):
                pairs = np.stack([left, order[right]], axis=1)
                pairs = pairs[pairs[:, 0] < pairs[:, 1]]
                apart = _bits(unique[pairs[:, 0]] ^ unique[pairs[:, 1]])
                found.append(pairs[apart <= MOST_BITS])
    return np.unique(np.concatenate(found), axis=0)


def _pairs_of_ranges(
    starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yields (i, starts[i] + 0 … counts[i] - 1) of all i, about a million at a time."""
    blocks = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum() + 1, 2**20), "left")
    edges = np.unique([*blocks.tolist(), len(counts)])
    for low, high in pairwise(edges.tolist()):
        number = counts[low:high]
        left = np.repeat(np.arange(low, high), number)
        within = np.arange(len(left)) - np.repeat(np.cumsum(number) - number, number)
        yield left, np.repeat(starts[low:high], number) + within


def _bits(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Counts the bits that are set."""
    pairs = np.uint64(0x5555555555555555)
    fours = np.uint64(0x3333333333333333)
    values = values - ((values >> np.uint64(1)) & pairs)
    values = (values & fours) + ((values >> np.uint64(2)) & fours)
    values = (values + (values >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    sums: NDArray[np.uint64] = (values * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return sums.astype(np.int64)


def _alike(small: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    left, right = (_normed(small[pairs[:, side]]) for side in (0, 1))
    alike: NDArray[np.bool_] = (left * right).sum(axis=1) >= LEAST_ALIKE
    return alike


def _normed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    flat = pictures.reshape(len(pictures), SMALL**2).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    normed: NDArray[np.float32] = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return normed


def clusters(pairs: NDArray[np.int64]) -> list[list[int]]:
    """Returns the sets of rows that pairs (P, 2) join, directly or over others, ascending."""
    root: dict[int, int] = {}

    def top(row: int) -> int:
        while root.setdefault(row, row) != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for left, right in pairs.tolist():
        one, other = top(left), top(right)
        root[max(one, other)] = min(one, other)
    members: dict[int, list[int]] = {}
    for row in sorted(root):
        members.setdefault(top(row), []).append(row)
    return [members[row] for row in sorted(members)]
