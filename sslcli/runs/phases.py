"""Tells from a run's folder which phases were trained, and where their records stand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

LAST = "last.pt"
PREVIOUS = "step-*.pt"
RESULT = "result.json"
"""What came of a phase: where it stands, the phase is not trained again."""


class Span(NamedTuple):
    """Holds the bytes of metrics.jsonl between a phase's first and last record."""

    begin: int
    end: int


def spans(folder: Path, start: int = 0) -> dict[str, Span]:
    """Returns the span of every phase with records after byte `start`, in their order."""
    path, found, begin = folder / "metrics.jsonl", dict[str, Span](), start
    if not path.exists():
        return found
    with path.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            end = begin + len(line)
            name = _phase_of(line)
            if name is not None:
                found[name] = Span(found[name].begin if name in found else begin, end)
            begin = end
    return found


def _phase_of(line: bytes) -> str | None:
    """Returns the phase of a record; None of a damaged or cut off one."""
    if not line.endswith(b"\n"):
        return None
    try:
        name = json.loads(line)["phase"]
    except (ValueError, LookupError, TypeError):
        return None
    return name if isinstance(name, str) and _is_inside(name) else None


def _is_inside(name: str) -> bool:
    """Tells whether a name, which a file holds, names a folder inside the run's."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not {"..", "/"} & set(parts)


def without_last(folder: Path, noted: Iterable[str], start: int = 0) -> list[str]:
    """Returns the phases that have saved a checkpoint, and whose last one is missing.

    `noted`: those whose progress is in run.json. A phase has also saved where an earlier checkpoint
    is left, or other phases' records follow its own, after byte `start`.
    """
    left = {path.parent.relative_to(folder).as_posix() for path in folder.rglob(PREVIOUS)}
    saved = [*list(spans(folder, start))[:-1], *sorted({*noted} | left)]
    return [
        name
        for name in dict.fromkeys(saved)
        if _is_inside(name) and not any((folder / name / kept).exists() for kept in (LAST, RESULT))
    ]
