"""Looks at every picture of a catalogue once, in threads, and keeps little of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sslcli.data.decode import read_each, reason_of
from sslcli.data.images import Track, evenly_spaced
from sslcli.tools.inspect.near_duplicates import SIDE, SMALL, WINDOWS, perceptual_hashes
from sslcli.tools.inspect.picture_facts import COPY, FACTS, Look, look_at_bytes, look_at_pixels
from sslcli.tools.inspect.pictures import Catalogue

BLOCK = 256


@dataclass(frozen=True)
class Survey:
    """Holds what was seen of n of the N pictures of a catalogue.

    `rows` (n,) in the catalogue. `facts` (n,) of FACTS, zeros where even a header could not be
    read; `digests` (n, 16), zeros where no bytes could; of WINDOWS `hashes` (n, W) and `small`
    (n, W, SMALL, SMALL) grey. `bad`: why a picture cannot be decoded, by index. `mean` and
    `deviation` (COPY, COPY, 3), of the others' small copies.
    """

    rows: NDArray[np.int64]
    facts: NDArray[np.void]
    digests: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    small: NDArray[np.uint8]
    bad: dict[int, str]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def good(self) -> NDArray[np.int64]:
        """Returns the indices of pictures that were decoded."""
        good = np.ones(len(self), dtype=bool)
        good[list(self.bad)] = False
        return np.flatnonzero(good)


def survey_of(catalogue: Catalogue, at_most: int, workers: int | None, track: Track) -> Survey:
    """Looks at the pictures; at `at_most` at even distances where there are more."""
    rows = evenly_spaced(len(catalogue), at_most)
    seen = _Seen(len(rows))

    def look(index: int) -> Look:
        content = catalogue.content(int(rows[index]))
        return look_at_bytes(content) if isinstance(content, bytes) else look_at_pixels(content)

    looks = read_each(look, len(rows), workers)
    for index, found in enumerate(track(looks, total=len(rows), label="looking at pictures")):
        seen.add(index, found)
    return seen.survey(rows)


class _Seen:
    """Collects what was seen of one picture after the other."""

    def __init__(self, count: int) -> None:
        self._facts = np.zeros(count, dtype=FACTS)
        self._digests = np.zeros((count, 16), dtype=np.uint8)
        self._hashes = np.zeros((count, len(WINDOWS)), dtype=np.uint64)
        self._small = np.zeros((count, len(WINDOWS), SMALL, SMALL), dtype=np.uint8)
        self._bad: dict[int, str] = {}
        self._sum = np.zeros((COPY, COPY, 3))
        self._squares = np.zeros((COPY, COPY, 3))
        self._grey = np.zeros((BLOCK, len(WINDOWS), SIDE, SIDE), dtype=np.float32)
        self._waiting: list[int] = []

    def add(self, index: int, found: Look | Exception) -> None:
        if isinstance(found, Exception):
            self._bad[index] = reason_of(found)
            return
        self._facts[index] = found.facts
        self._digests[index] = np.frombuffer(found.digest, dtype=np.uint8)
        if found.broken is not None:
            self._bad[index] = found.broken
            return
        self._small[index] = found.small
        self._sum += found.copy
        self._squares += found.copy.astype(np.float32) ** 2
        self._grey[len(self._waiting)] = found.grey
        self._waiting.append(index)
        if len(self._waiting) == BLOCK:
            self._hash()

    def _hash(self) -> None:
        self._hashes[self._waiting] = perceptual_hashes(self._grey[: len(self._waiting)])
        self._waiting.clear()

    def survey(self, rows: NDArray[np.int64]) -> Survey:
        self._hash()
        mean = self._sum / max(1, len(rows) - len(self._bad))
        variance = self._squares / max(1, len(rows) - len(self._bad)) - mean**2
        deviation = np.sqrt(np.maximum(variance, 0))
        return Survey(
            rows, self._facts, self._digests, self._hashes, self._small, self._bad, mean, deviation
        )
