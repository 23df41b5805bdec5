"""Chooses the odd ones: the pictures at the ends of what was measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sslcli.tools.inspect.survey import Survey

MOST = 8
"""Pictures of each kind."""


def odd_ones(survey: Survey) -> dict[str, list[tuple[int, str]]]:
    """Returns by kind up to MOST (row of the catalogue, what was measured), the oddest first.

    A kind in which all pictures are alike is left out.
    """
    good = survey.good
    facts = survey.facts[good]
    if not len(facts):
        return {}
    shorter = np.minimum(facts["width"], facts["height"])
    aspect = np.maximum(facts["width"], facts["height"]) / shorter
    distance = _distances(survey.small[good, 0])
    kinds: dict[str, tuple[NDArray[np.floating], str]] = {
        "darkest": (facts["mean"], "mean {:.0f}"),
        "brightest": (-facts["mean"], "mean {:.0f}"),
        "least contrast": (facts["deviation"], "deviation {:.1f}"),
        "furthest from the mean picture": (-distance, "{:.0f} levels away"),
        "smallest": (shorter.astype(np.float64), "{:.0f} px"),
        "longest and narrowest": (-aspect, "{:.2f} to 1"),
    }
    chosen: dict[str, list[tuple[int, str]]] = {}
    for kind, (values, words) in kinds.items():
        if np.ptp(values) > 0:
            order = np.argsort(values, kind="stable")[:MOST].tolist()
            chosen[kind] = [
                (int(survey.rows[good[i]]), words.format(abs(float(values[i])))) for i in order
            ]
    return chosen


def _distances(small: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns how far each grey copy is from the mean of all, in levels (root mean square)."""
    mean = small.mean(axis=0)
    squares = [((copy - mean) ** 2).mean() for copy in small]
    distances: NDArray[np.float64] = np.sqrt(np.array(squares))
    return distances
