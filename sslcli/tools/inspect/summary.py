"""Counts what was seen: sizes, kinds, classes, groups; as plain values that JSON can hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.table_file import BETWEEN
from sslcli.tools.inspect.pictures import PART_NAMES, Catalogue
from sslcli.tools.inspect.survey import Survey


@dataclass(frozen=True)
class Summary:
    """Holds counts. `kinds`: of channels, bits and so on, by what they count.

    `classes` and `groups`: by part, then by name. `sides` (n,): the shorter side of each good
    picture, `longer` (n,): the longer.
    """

    parts: dict[str, int]
    kinds: dict[str, dict[str, int]]
    classes: dict[str, dict[str, int]] | None
    groups: dict[str, dict[str, int]] | None
    sides: NDArray[np.int32]
    longer: NDArray[np.int32]

    def sizes(self) -> dict[str, Any]:
        """Returns sizes in pixels, smallest, median and largest, and aspects, longer ÷ shorter."""
        if not len(self.sides):
            return {}
        three = {"smallest": 0.0, "median": 0.5, "largest": 1.0}
        aspects = self.longer / self.sides

        def at(values: NDArray[Any]) -> dict[str, float]:
            return {
                name: round(float(np.quantile(values, share, method="nearest")), 3)
                for name, share in three.items()
            }

        return {
            "shorter side": at(self.sides),
            "longer side": at(self.longer),
            "aspect": at(aspects),
        }


def summary_of(catalogue: Catalogue, survey: Survey) -> Summary:
    good = survey.facts[survey.good]
    counts = np.bincount(catalogue.parts, minlength=len(PART_NAMES)).tolist()
    parts = {name: count for name, count in zip(PART_NAMES, counts, strict=True) if count}
    header = survey.facts[survey.facts["width"] > 0]
    return Summary(
        parts,
        _kinds(header),
        _by_part(catalogue, catalogue.labels, catalogue.several),
        _by_part(catalogue, catalogue.groups, False),
        np.minimum(good["width"], good["height"]),
        np.maximum(good["width"], good["height"]),
    )


def _kinds(facts: NDArray[np.void]) -> dict[str, dict[str, int]]:
    depths = [
        f"{bits}-bit {'floats' if floats else 'numbers'}"
        for bits, floats in zip(facts["bits"].tolist(), facts["floats"].tolist(), strict=True)
    ]
    marks = {
        "turned by EXIF": facts["turned"],
        "with transparency": facts["alpha"],
        "several frames": facts["frames"] > 1,
        "in colour": facts["coloured"],
    }
    return {
        "format": _counted(facts["format"].tolist()),
        "channels": _counted(facts["channels"].tolist()),
        "depth": _counted(depths),
        "marks": {name: int(found.sum()) for name, found in marks.items()},
    }


def _counted(values: list[Any]) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


def _by_part(catalogue: Catalogue, names: Any, several: bool) -> dict[str, dict[str, int]] | None:
    """Counts each name in each part; those of the catalogue, not only of what was looked at."""
    if names is None:
        return None
    counts: dict[str, Counter[str]] = {}
    for part, name in zip(catalogue.parts.tolist(), names, strict=True):
        said = [one.strip() for one in name.split(BETWEEN)] if several else [name]
        counts.setdefault(PART_NAMES[part], Counter()).update(one for one in said if one)
    in_order = [part for part in PART_NAMES if part in counts]
    return {part: dict(counts[part].most_common()) for part in in_order}
