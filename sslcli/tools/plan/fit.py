"""Finds the largest batch, or the largest chunks, that fit into a memory."""

from __future__ import annotations

import math
from collections.abc import Callable

TRIES = 12
"""The most numbers that are tried: a peak takes up to some seconds."""
CLOSE = 0.02
"""The part by which the largest number may be larger than what is returned."""
FEWEST, MOST_CHUNKS = 16, 64
"""Least pictures of a chunk, and most chunks, that are tried: many small ones are slow."""


def largest_fitting(peak: Callable[[int], int], limit: int, first: int, most: int) -> int:
    """Returns about the largest number, of 2 to `most`, whose peak is within `limit`.

    Begins with `first`; 0 where none was found to fit.
    """
    peaks: dict[int, int] = {}
    below, above, guess = 0, most + 1, max(2, min(first, most))
    while guess not in peaks and len(peaks) < TRIES:
        peaks[guess] = peak(guess)
        if peaks[guess] <= limit:
            below = guess
        else:
            above = guess
        if below >= most or above <= 2 or (below and above - below <= max(1, CLOSE * below)):
            break
        guess = _next(peaks, limit, below, above)
    return below


def _next(peaks: dict[int, int], limit: int, below: int, above: int) -> int:
    """Returns a number between the bounds.

    In turns where a line through two known points meets `limit`, and the bounds' geometric mean,
    which closes in on a peak of any shape.
    """
    near = sorted(peaks, key=lambda number: abs(peaks[number] - limit))[:2]
    if len(near) == 1:
        met = near[0] * limit / max(1, peaks[near[0]])
    elif len(peaks) % 2:
        met = math.sqrt(max(1, below) * above)
    else:
        slope = (peaks[near[1]] - peaks[near[0]]) / (near[1] - near[0])
        met = near[0] + (limit - peaks[near[0]]) / slope if slope else float(above)
    met = max(met, below * (1 + CLOSE))
    if above in peaks:
        met = min(met, above * (1 - CLOSE))
    whole = int(met) // 8 * 8 if met >= 512 else int(met)
    return min(max(whole, below + 1, 2), above - 1)


def largest_chunks(peak: Callable[[int], int], limit: int, num_images: int) -> int | None:
    """Returns the largest power of two of pictures in a chunk that fits; None: none tried does."""
    size = 1 << max(0, num_images.bit_length() - 1)
    while size >= max(FEWEST, num_images / MOST_CHUNKS):
        if size < num_images and peak(size) <= limit:
            return size
        size //= 2
    return None
