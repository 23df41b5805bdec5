"""Orders pictures so that few of the files that hold them are needed at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sslcli.data.split import permutation
from sslcli.seeding import derive_seed


@dataclass(frozen=True, eq=False)
class Blocks:
    """Holds the block of each of N pictures, such as its file: `numbers` (N,) int64.

    So many blocks are `mixed` at once.
    """

    numbers: NDArray[np.int64]
    mixed: int

    def subset(self, chosen: NDArray[np.int64]) -> Blocks:
        return replace(self, numbers=self.numbers[chosen])

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Returns the pictures in an epoch's order, (N,) int64: a pure function of its arguments.

        The blocks are shuffled and taken `mixed` at a time; the pictures of these are shuffled
        together, and come before those of the next.
        """
        present, block = np.unique(self.numbers, return_inverse=True)
        places = permutation(len(present), derive_seed("blocks", seed, epoch))
        together = places[block] // self.mixed
        inside = permutation(len(block), derive_seed("order", seed, epoch))
        return np.lexsort((inside, together)).astype(np.int64)


def joined(parts: Sequence[Blocks | None]) -> Blocks | None:
    """Returns the blocks of pictures that follow one another; None where some have none."""
    found = [part for part in parts if part is not None]
    if not found or len(found) < len(parts):
        return None
    return replace(found[0], numbers=np.concatenate([part.numbers for part in found]))
