"""Finds pictures that look alike: saved again, resized, made grey, cropped a little.

Two pictures are near where the perceptual hash of the one, and of a window of the other, differ in
at most MOST_BITS of 64 bits, and their small grey copies correlate with LEAST_ALIKE or more.
`benchmarks.near_duplicates` measures what is found so, and what is found wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SIDE, SMALL = 32, 16
"""Sides of the grey copies: that which is hashed, and that which is compared."""
WINDOWS = (0.0, 0.02, 0.04, 0.06)
"""Shares of the width and height left out at each side: the whole picture, and its middle."""
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
    """Returns a hash of 64 bits for each of (…, SIDE, SIDE) grey pictures.

    A bit says whether a wave's amplitude, of the lowest 8 by 8 of the cosine transform, is above
    the median of all but the mean's. Source: Zauner 2010, "Implementation and Benchmarking of
    Perceptual Image Hash Functions".
    """
    places = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(np.arange(LOWEST), 2 * places + 1) / (2 * SIDE))
    amplitudes = (waves @ grey @ waves.T).reshape(*grey.shape[:-2], LOWEST**2)
    middle = np.median(amplitudes[..., 1:], axis=-1, keepdims=True)
    packed = np.packbits(amplitudes > middle, axis=-1)
    hashes: NDArray[np.uint64] = packed.view(np.uint64)[..., 0]
    return hashes


def near_pairs(
    hashes: NDArray[np.uint64], small: NDArray[np.uint8], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns the pairs among `rows` that look alike: (P, 2), each with the smaller row first.

    `hashes` (N, W) and `small` (N, W, SMALL, SMALL) grey are of the WINDOWS of each picture: the
    whole of one is compared with every window of the other. Flat pictures have no pair. Of more
    than two with one hash, each is compared with the first of them, so that many copies do not
    make many more pairs.
    """
    rows = rows[small[rows, 0].std(axis=(1, 2)) >= FLATTEST]
    whole, first, numbers = _unique(hashes[rows, 0])
    found = [_alike_pairs(small, 0, rows[np.stack([first[numbers], np.arange(len(rows))], 1)])]
    for window in range(hashes.shape[1]):
        inside, of_inside, _ = _unique(hashes[rows, window])
        close = _close(whole, inside)
        both = np.stack([first[close[:, 0]], of_inside[close[:, 1]]], axis=1)
        found.append(_alike_pairs(small, window, rows[both]))
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0).astype(np.int64)


def _unique(
    hashes: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns the different hashes, where the first of each is, and the number of each hash."""
    unique, first, numbers = np.unique(hashes, return_index=True, return_inverse=True)
    return unique, first, numbers


def _alike_pairs(
    small: NDArray[np.uint8], window: int, pairs: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns the pairs of which the whole of the one is like the window of the other."""
    kept = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(pairs), BLOCK):
        some = pairs[start : start + BLOCK]
        left, right = _normed(small[some[:, 0], 0]), _normed(small[some[:, 1], window])
        kept.append(some[(left * right).sum(axis=1) >= LEAST_ALIKE])
    return np.concatenate(kept)


def _close(whole: NDArray[np.uint64], inside: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Returns the pairs (i, j) of hashes that differ in at most MOST_BITS, (P, 2)."""
    flips = np.array([0, *(1 << bit for bit in range(BAND))], dtype=np.uint64)
    found = [np.empty((0, 2), dtype=np.int64)]
    for band in range(NUM_BANDS):
        left, right = (
            (hashes >> np.uint64(BAND * band)) & np.uint64(2**BAND - 1)
            for hashes in (whole, inside)
        )
        order = np.argsort(right, kind="stable")
        counts = np.bincount(right.astype(np.int64), minlength=2**BAND)
        edges = np.concatenate([[0], np.cumsum(counts)])
        for flip in flips:
            keys = left ^ flip
            starts = edges[keys]
            for ones, others in _pairs_of_ranges(starts, edges[keys + np.uint64(1)] - starts):
                pairs = np.stack([ones, order[others]], axis=1)
                apart = _bits(whole[pairs[:, 0]] ^ inside[pairs[:, 1]])
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


def _normed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    flat = pictures.reshape(len(pictures), SMALL**2).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    normed: NDArray[np.float32] = flat / np.maximum(lengths, 1e-6)  # a window may be flat
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
