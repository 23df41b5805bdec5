"""Checks pictures and classes one kind of fault at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sslcli.data.depth import CHOICE
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
from sslcli.tools.inspect.near_duplicates import FLATTEST

FEW = 10
"""Training pictures of a class below which it is named: a split leaves nothing to judge it by."""
UNEQUAL = 10
"""Times the smallest class by which the largest is called unequal."""
LARGE = 2000
"""Pixels of the median shorter side from which tiles are worth a word."""
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
    """Finds files of more than 8 bits among others, of which a run asks what is to be kept."""
    facts, good = seen.survey.facts, seen.survey.good
    is_deep = facts["deep"][good] & (facts["bits"][good] > 8)
    if not 0 < is_deep.sum() < len(good) or getattr(seen.config, "depth", None) is not None:
        return []
    rows = seen.survey.rows[good[is_deep]].tolist()
    has = several(len(rows), "picture has", "pictures have")
    text = f"{has} more than 8 bits a channel, and the others 8: {seen.named(rows)}"
    return [_shown(Severity.doubtful, "depth", text, CHOICE, rows)]


def channels(seen: Seen) -> list[Finding]:
    """Finds files of another number of channels, which no network takes with the others."""
    facts = seen.survey.facts[seen.survey.good]
    taken = np.where(facts["deep"], facts["channels"], np.minimum(facts["channels"], 3))
    counts = Counter(taken.tolist())
    if set(counts) <= {1, 3} or len(counts) == 1:
        return []
    usual = counts.most_common(1)[0][0]
    rows = seen.survey.rows[seen.survey.good[taken != usual]].tolist()
    has = several(len(rows), "picture has", "pictures have")
    text = f"{has} not {usual} channels, as the others have: {seen.named(rows)}"
    return [_shown(Severity.doubtful, "channels", text, "leave them out: no run takes both", rows)]


def wide(seen: Seen) -> list[Finding]:
    facts = seen.survey.facts[seen.survey.good]
    if not len(facts) or _in_tiles(seen):
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


def grey(seen: Seen) -> list[Finding]:
    """Finds grey pictures among coloured ones."""
    good = seen.survey.good
    coloured = seen.survey.facts["coloured"][good]
    if not 0 < coloured.sum() < len(coloured):
        return []
    rows = seen.survey.rows[good[~coloured]].tolist()
    verb = "is" if len(rows) == 1 else "are"
    text = f"{len(rows):,} of {several(len(good), 'picture')} {verb} grey: {seen.named(rows)}"
    fix = "if colour tells where a picture is from, data.channels=1 makes all grey"
    return [_shown(Severity.note, "grey among colours", text, fix, rows)]


def _in_tiles(seen: Seen) -> bool:
    return getattr(seen.config, "tile", None) is not None


def large(seen: Seen) -> list[Finding]:
    sides = seen.summary.sides
    if not len(sides) or np.median(sides) < LARGE or _in_tiles(seen):
        return []
    text = (
        f"pictures are large: half of them have a shorter side of {np.median(sides):,.0f} or more"
    )
    fix = "where small things matter, data.tile=256 cuts tiles in place of shrinking the whole"
    return [Finding(Severity.note, "large", text, fix)]


def enlarged(seen: Seen) -> list[Finding]:
    side = seen.advice.resolution
    if side is None or _in_tiles(seen):
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
    channels,
    grey,
    wide,
    large,
    enlarged,
    turned,
    transparent,
    unlooked,
)
"""In the order in which findings of one severity are named."""
