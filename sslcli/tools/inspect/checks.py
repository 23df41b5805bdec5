"""Checks pictures and classes one kind of fault at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sslcli.data.near_duplicates import FLATTEST
from sslcli.text import printable
from sslcli.tools.inspect.findings import (
    MOST_NAMED,
    MOST_SHOWN,
    Check,
    Finding,
    Seen,
    Severity,
    broken,
    copies_within,
    leaks,
    refused,
    several,
)

FEW = 10
"""Training pictures of a class below which it is named: a split leaves nothing to judge it by."""
UNEQUAL = 10
"""Times the smallest class by which the largest is called unequal."""
CUT_AWAY = 0.25
"""The share of a picture outside its middle square from which it is worth a word."""


def notes_of_the_listing(seen: Seen) -> list[Finding]:
    return [Finding(Severity.doubtful, "left out", note) for note in seen.catalogue.notes]


def other_files(seen: Seen) -> list[Finding]:
    if not seen.others:
        return []
    most = sorted(seen.others.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{count:,} {printable(ending)}" for ending, count in most[:MOST_NAMED])
    more = ", …" if len(most) > MOST_NAMED else ""
    total = sum(seen.others.values())
    verb = "is" if total == 1 else "are"
    text = f"{several(total, 'file')} in the folder {verb} not read: {named}{more}"
    fix = "if these are pictures, convert them to PNG, JPEG, WebP or TIFF"
    return [Finding(Severity.doubtful, "other files", text, fix)]


def blank(seen: Seen) -> list[Finding]:
    good = seen.survey.good
    flat = good[seen.survey.facts["deviation"][good] < FLATTEST]
    rows = seen.survey.rows[flat].tolist()
    if not rows:
        return []
    text = f"{several(len(rows), 'picture')} of one colour: {seen.named(rows)}"
    return [_shown(Severity.doubtful, "blank", text, "remove them: nothing is in them", rows)]


def deep(seen: Seen) -> list[Finding]:
    found = _rows(seen, (seen.survey.facts["bits"] > 8) & (seen.survey.facts["width"] > 0))
    kept = seen.catalogue.keeps_depth
    if not found or (kept and len(found) == len(seen.survey.good)):
        return []
    count = several(len(found), "picture has", "pictures have")
    text = f"{count} more than 8 bits a channel: {seen.named(found)}"
    fix = "a run makes 8 bits of them"
    if kept:
        fix = "all are kept with as many; data.depth=8 makes 8 bits of them"
    return [_shown(Severity.doubtful, "depth", text, fix, found)]


def wide(seen: Seen) -> list[Finding]:
    facts = seen.survey.facts[seen.survey.good]
    if not len(facts):
        return []
    shorter = np.minimum(facts["width"], facts["height"])
    lost = 1 - shorter / np.maximum(facts["width"], facts["height"])
    long = lost > CUT_AWAY
    if not long.any():
        return []
    rows = seen.survey.rows[seen.survey.good[long]].tolist()
    loses = several(len(rows), "picture loses", "pictures lose")
    text = f"{loses} more than a quarter to the middle square that is cut out: {seen.named(rows)}"
    fix = "see whether what matters is in the middle; else cut or pad them before"
    return [_shown(Severity.note, "aspect", text, fix, rows)]


def turned(seen: Seen) -> list[Finding]:
    rows = _rows(seen, seen.survey.facts["turned"])
    verb = "is" if len(rows) == 1 else "are"
    text = (
        f"{several(len(rows), 'picture')} {verb} turned upright, as EXIF says: {seen.named(rows)}"
    )
    return [_shown(Severity.note, "turned", text, "", rows)] if rows else []


def transparent(seen: Seen) -> list[Finding]:
    rows = _rows(seen, seen.survey.facts["alpha"])
    has = several(len(rows), "picture has", "pictures have")
    text = f"{has} transparency, and are laid on white: {seen.named(rows)}"
    text = text.replace("has transparency, and are", "has transparency, and is")
    return [_shown(Severity.note, "transparent", text, "", rows)] if rows else []


def animated(seen: Seen) -> list[Finding]:
    rows = _rows(seen, seen.survey.facts["frames"] > 1)
    has = several(len(rows), "picture has", "pictures have")
    text = f"{has} several frames, of which the first is read: {seen.named(rows)}"
    fix = "save the others as files of their own, in one group"
    return [_shown(Severity.doubtful, "frames", text, fix, rows)] if rows else []


def ink(seen: Seen) -> list[Finding]:
    """Finds grey pictures among coloured ones, and those of ink or of many channels."""
    found = []
    good = seen.survey.good
    coloured = seen.survey.facts["coloured"][good]
    if 0 < coloured.sum() < len(coloured):
        grey = seen.survey.rows[good[~coloured]].tolist()
        text = f"{len(grey):,} of {several(len(coloured), 'picture')} are grey: {seen.named(grey)}"
        fix = "if colour tells where a picture is from, data.channels=1 makes all grey"
        found.append(_shown(Severity.note, "grey among colours", text, fix, grey))
    many = _rows(seen, seen.survey.facts["channels"] > 3)
    mixed = len(many) < len(seen.survey.good)
    if many and (mixed or not seen.catalogue.keeps_depth):
        has = several(len(many), "picture has", "pictures have")
        text = f"{has} more than three channels: {seen.named(many)}"
        fix = "a run takes pictures of as many channels as most have" if mixed else ""
        found.append(_shown(Severity.doubtful, "channels", text, fix, many))
    return found


def enlarged(seen: Seen) -> list[Finding]:
    side = seen.advice.resolution
    if side is None:
        return []
    facts = seen.survey.facts[seen.survey.good]
    small = np.minimum(facts["width"], facts["height"]) < side
    rows = seen.survey.rows[seen.survey.good[small]].tolist()
    if not rows:
        return []
    verb = "is" if len(rows) == 1 else "are"
    text = (
        f"{several(len(rows), 'picture')} of {len(facts):,} {verb} smaller than {side} px, and "
        f"enlarged: {seen.named(rows)}"
    )
    fix = "a smaller data.resolution enlarges fewer"
    return [_shown(Severity.note, "enlarged", text, fix, rows)]


def classes(seen: Seen) -> list[Finding]:
    """Finds small classes, those that a part lacks, and a single one."""
    counts = seen.summary.classes
    if not counts or "train" not in counts:
        return []
    train, found = counts["train"], []
    if len(train) == 1 and not seen.catalogue.several:
        text = f"there is one class, {printable(next(iter(train)))}: labels tell nothing"
        found.append(Finding(Severity.note, "one class", text))
    few = sorted((count, name) for name, count in train.items() if count < FEW)
    if few:
        named = ", ".join(f"{printable(name)} ({count})" for count, name in few[:5])
        more = ", …" if len(few) > 5 else ""
        has = several(len(few), "class has", "classes have")
        text = f"{has} fewer than {FEW} training pictures: {named}{more}"
        fix = "merge or leave out classes that cannot be judged"
        found.append(Finding(Severity.doubtful, "small classes", text, fix))
    elif max(train.values()) >= UNEQUAL * min(train.values()):
        (largest, most), *_, (smallest, least) = train.items()
        text = (
            f"classes are unequal: {printable(largest)} has {most:,} training pictures, "
            f"{printable(smallest)} {least:,}"
        )
        fix = "accuracy hides the small ones: look at each class of the confusion matrix"
        found.append(Finding(Severity.note, "balance", text, fix))
    return [*found, *_absent_classes(counts)]


def _absent_classes(counts: dict[str, dict[str, int]]) -> list[Finding]:
    found = []
    for part in ("val", "test"):
        absent = sorted(counts["train"].keys() - counts.get(part, {}).keys())
        if part in counts and absent:
            named = ", ".join(map(printable, absent[:5])) + (", …" if len(absent) > 5 else "")
            has = several(len(absent), "class has", "classes have")
            text = f"{has} no {part} picture: {named}"
            found.append(Finding(Severity.doubtful, "absent classes", text, f"add some to {part}"))
    return found


def unlooked(seen: Seen) -> list[Finding]:
    looked, there = len(seen.survey), len(seen.catalogue)
    if looked == there:
        return []
    text = f"{looked:,} of {several(there, 'picture')} were looked at, at even distances"
    return [Finding(Severity.note, "sample", text, f"--at-most {there} looks at all")]


def _rows(seen: Seen, chosen: NDArray[np.bool_]) -> list[int]:
    rows: list[int] = seen.survey.rows[np.flatnonzero(chosen)].tolist()
    return rows


def _shown(severity: Severity, key: str, text: str, fix: str, rows: Sequence[int]) -> Finding:
    return Finding(severity, key, text, fix, tuple((row,) for row in rows[:MOST_SHOWN]))


CHECKS: tuple[Check, ...] = (
    refused,
    leaks,
    broken,
    copies_within,
    notes_of_the_listing,
    other_files,
    blank,
    deep,
    animated,
    classes,
    ink,
    wide,
    enlarged,
    turned,
    transparent,
    unlooked,
)
"""In the order in which findings of one severity are named."""
