"""Says which words train on the pictures, and why these."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sslcli.data.duplicates import Duplicates
from sslcli.data.folder import FolderConfig
from sslcli.tools.inspect.copies import Copies, across
from sslcli.tools.inspect.pictures import Catalogue
from sslcli.tools.inspect.summary import Summary
from sslcli.tools.inspect.words import Asked

SIDES = (32, 64, 96, 128, 160, 192, 224)
"""Resolutions that are suggested where sizes differ; the largest is that of most published runs."""
SHARE = 0.1
"""The share of pictures that may be smaller than the resolution, and are enlarged."""
USUAL = 0.5
"""The share of pictures of one size from which it is a resolution too."""
TRY_FIRST = 64


@dataclass(frozen=True)
class Advice:
    """Holds a whole command line, and a reason for each word that was added."""

    command: str
    reasons: tuple[str, ...]
    resolution: int | None


def advise(asked: Asked, catalogue: Catalogue, summary: Summary, copies: Copies) -> Advice:
    words, reasons = list(asked.words), []
    typed = {word.partition("=")[0] for word in asked.further}
    known = {field.name for field in fields(asked.config)}
    resolution, reason = _resolution(summary)
    if getattr(asked.config, "tile", None) is not None:
        resolution = None
    elif catalogue.refusal is not None and not isinstance(asked.config, FolderConfig):
        resolution = None  # what is not understood has no size
    elif asked.config.resolution is not None:
        resolution = asked.config.resolution
    elif resolution is not None and not _is_default(asked, summary):
        words.append(f"data.resolution={resolution}")
        reasons.append(f"data.resolution={resolution}: {reason}")
    if _only_grey(summary) and "channels" in known and "data.channels" not in typed:
        words.append("data.channels=1")
        reasons.append("data.channels=1: all are grey, and some are stored in colour")
    policy = getattr(asked.config, "duplicates", None)
    if policy is Duplicates.warn and across(copies.exact, catalogue.parts):
        words.append("data.duplicates=drop")
        reasons.append("data.duplicates=drop: trains on no picture that it is judged by")
    command = " ".join(["sslcli pretrain", *words])  # the words are quoted
    return Advice(command, tuple(reasons), resolution)


def _resolution(summary: Summary) -> tuple[int | None, str]:
    """Returns the resolution that suits the sizes, and why."""
    sides = summary.sides
    if not len(sides):
        return None, ""
    smallest, largest = int(sides.min()), int(sides.max())
    if smallest == largest <= SIDES[-1]:
        return smallest, f"all have a shorter side of {smallest} px"
    low = int(np.quantile(sides, SHARE, method="lower"))
    usual = int(np.bincount(sides).argmax())
    own = [usual] if (sides == usual).mean() >= USUAL and usual <= SIDES[-1] else []
    fitting = sorted(side for side in (*SIDES, *own) if side <= low)
    if not fitting:
        return max(8, int(np.median(sides))), "the median of the shorter sides"
    side = fitting[-1]
    larger = int((sides >= side).sum())
    reason = f"{larger:,} of {len(sides):,} have a shorter side of that or more"
    if side > TRY_FIRST:
        times = (side / TRY_FIRST) ** 2
        reason += f"; {TRY_FIRST}, to try first, has {times:.0f} times fewer pixels"
    return side, reason


def _is_default(asked: Asked, summary: Summary) -> bool:
    """Tells whether pictures are of one size, square, and taken as they are."""
    sides, longer = set(summary.sides.tolist()), set(summary.longer.tolist())
    return not isinstance(asked.config, FolderConfig) and sides == longer and len(sides) == 1


def _only_grey(summary: Summary) -> bool:
    """Tells whether pictures are stored in colour, none of which has any."""
    stored = summary.kinds["channels"]
    return "3" in stored and set(stored) <= {"1", "3"} and not summary.kinds["marks"]["in colour"]
