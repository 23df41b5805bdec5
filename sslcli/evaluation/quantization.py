"""Rounds the numbers of codes to few levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.float32]
"""(N, D)."""
BITS = (8, 6, 4)
EXACT = 32
"""Bits of a number that is not rounded."""


@dataclass(frozen=True)
class Quantizer:
    """Rounds each of D numbers to 2^bits levels, at even distances over its own range.

    `low` (D,) is the value of level 0, `step` (D,) the distance of two levels; 0 where a number
    was the same in all codes.
    """

    bits: int
    low: Codes
    step: Codes

    @classmethod
    def of(cls, codes: Codes, bits: int) -> Quantizer:
        """Returns the quantizer whose levels reach from the least to the largest of `codes`."""
        low = codes.min(axis=0)
        reach = codes.max(axis=0).astype(np.float64) - low
        return cls(bits, low, (reach / ((1 << bits) - 1)).astype(np.float32))

    @property
    def last(self) -> int:
        """Returns the highest level."""
        return (1 << self.bits) - 1

    def levels(self, codes: Codes) -> NDArray[np.uint8]:
        """Returns the nearest level of every number, (N, D)."""
        nearest: NDArray[np.float64] = self._place(codes).round().clip(0, self.last)
        return nearest.astype(np.uint8)

    def values(self, levels: NDArray[np.uint8]) -> Codes:
        """Returns the numbers that levels (N, D) stand for."""
        return (self.low + self.step.astype(np.float64) * levels).astype(np.float32)

    def share_outside(self, codes: Codes) -> float:
        """Returns the part of the numbers that lie more than half a step outside the range."""
        place = self._place(codes)
        outside = (place < -0.5) | (place > self.last + 0.5)
        return float((outside | ((self.step == 0) & (codes != self.low))).mean())

    def _place(self, codes: Codes) -> NDArray[np.float64]:
        """Returns numbers in steps from `low`; 0 where all were the same."""
        above = codes.astype(np.float64) - self.low
        still = self.step == 0
        return np.where(still, 0, above / np.where(still, 1, self.step))
