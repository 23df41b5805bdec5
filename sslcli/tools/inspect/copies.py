"""Finds copies among the pictures: of the same bytes, and of those that look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sslcli.tools.inspect.near_duplicates import clusters, near_pairs
from sslcli.tools.inspect.pictures import PART_NAMES, Catalogue
from sslcli.tools.inspect.survey import Survey

JUDGED = ("val", "test")


@dataclass(frozen=True)
class Copies:
    """Holds clusters of rows of the catalogue, each ascending.

    `exact`: of pictures whose bytes are the same. `near`: of pictures that look alike; of exact
    copies, only the first is in one.
    """

    exact: list[list[int]]
    near: list[list[int]]


def find_copies(survey: Survey) -> Copies:
    read = np.flatnonzero(survey.digests.any(axis=1))
    names = np.ascontiguousarray(survey.digests[read]).view("V16")[:, 0]
    _, numbers = np.unique(names, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    edges = np.flatnonzero(np.diff(numbers[order])) + 1
    same = [read[members] for members in np.split(order, edges)]
    exact = [survey.rows[members].tolist() for members in same if len(members) > 1]
    firsts = np.array(sorted(int(members[0]) for members in same if len(members)), dtype=np.int64)
    pairs = near_pairs(survey.hashes, survey.small, np.intersect1d(firsts, survey.good))
    near = [survey.rows[members].tolist() for members in clusters(pairs)]
    return Copies(sorted(exact), near)


def across(
    found: Sequence[Sequence[int]], parts: NDArray[np.int8]
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Returns (judged row, other row) by the two parts, of clusters on both sides.

    Each picture of a judged part is named once for each other part.
    """
    pairs: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for members in found:
        by_part: dict[str, list[int]] = {}
        for row in members:
            by_part.setdefault(PART_NAMES[parts[row]], []).append(row)
        for judged in JUDGED:
            for other in ("train", "unlabelled", "val"):
                if judged in by_part and other in by_part and (judged, other) != ("val", "val"):
                    both = [(row, by_part[other][0]) for row in by_part[judged]]
                    pairs.setdefault((judged, other), []).extend(both)
    return pairs


def within(found: Sequence[Sequence[int]], parts: NDArray[np.int8]) -> list[list[int]]:
    """Returns the clusters' members of one part, where there are two or more."""
    several = []
    for members in found:
        for part in sorted({int(parts[row]) for row in members}):
            same = [row for row in members if parts[row] == part]
            several += [same] if len(same) > 1 else []
    return several


def contradictions(catalogue: Catalogue, clusters: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """Returns the clusters whose pictures are in different classes."""
    labels = catalogue.labels
    if labels is None:
        return []
    return [rows for rows in clusters if len({labels[row] for row in rows} - {""}) > 1]
