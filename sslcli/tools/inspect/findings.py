"""Names what is worth mending before anything is trained, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from sslcli.data.data_config import DataConfig
from sslcli.text import printable
from sslcli.tools.inspect.advice import Advice
from sslcli.tools.inspect.copies import Copies, across, contradictions, within
from sslcli.tools.inspect.pictures import PART_NAMES, Catalogue
from sslcli.tools.inspect.summary import Summary
from sslcli.tools.inspect.survey import Survey

MOST_NAMED = 3
MAX_BAD = 0.01
"""The share of broken pictures that is too many, where the data say none."""
MOST_SHOWN = 60
"""Rows of a finding that are handed on to be drawn."""


class Severity(IntEnum):
    """Orders findings. `wrong`: a run is refused, or its numbers are too good."""

    wrong = 0
    doubtful = 1
    note = 2


TITLES = {
    Severity.wrong: "mend first",
    Severity.doubtful: "look at",
    Severity.note: "good to know",
}


@dataclass(frozen=True)
class Finding:
    """Holds what is so, and what can be done.

    `key` names it for programs. `rows`: pictures of the catalogue that show it, those that belong
    together in one tuple.
    """

    severity: Severity
    key: str
    text: str
    fix: str = ""
    rows: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Seen:
    """Holds all that findings are made of."""

    catalogue: Catalogue
    survey: Survey
    summary: Summary
    copies: Copies
    advice: Advice
    config: DataConfig
    others: dict[str, int]
    """Files that are read by no one, by their ending."""

    def name(self, row: int) -> str:
        return printable(self.catalogue.names[row])

    def named(self, rows: Sequence[int]) -> str:
        more = ", …" if len(rows) > MOST_NAMED else ""
        return ", ".join(self.name(row) for row in rows[:MOST_NAMED]) + more


Check = Callable[[Seen], list[Finding]]


def several(count: int, one: str, many: str = "") -> str:
    """Returns the count with its noun: 1 picture, 2,000 pictures."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def in_order(seen: Seen, checks: Sequence[Check]) -> list[Finding]:
    """Returns the findings of all checks, the worst first."""
    found = [finding for check in checks for finding in check(seen)]
    return sorted(found, key=lambda finding: finding.severity)


def stops_a_run(finding: Finding) -> bool:
    """Tells whether no run begins before this is mended."""
    broken = finding.key == "broken" and finding.severity is Severity.wrong
    return broken or finding.key in ("refused", "group leak")


def refused(seen: Seen) -> list[Finding]:
    reason = seen.catalogue.refusal
    if reason is None:
        return []
    return [Finding(Severity.wrong, "refused", f"a run is refused: {reason.message}", reason.fix)]


def broken(seen: Seen) -> list[Finding]:
    bad = seen.survey.bad
    if not bad:
        return []
    rows = seen.survey.rows
    named = [f"{seen.name(int(rows[i]))}: {reason}" for i, reason in list(bad.items())[:MOST_NAMED]]
    more = "; …" if len(bad) > MOST_NAMED else ""
    total = len(seen.survey)
    text = (
        f"{len(bad):,} of {several(total, 'picture')} cannot be decoded: {'; '.join(named)}{more}"
    )
    max_bad = getattr(seen.config, "max_bad", MAX_BAD)
    too_many = len(bad) > max_bad * total
    fix = "repair or remove them"
    fix += f"; a run refuses more than data.max_bad={max_bad}" if too_many else ""
    return [Finding(Severity.wrong if too_many else Severity.doubtful, "broken", text, fix)]


def leaks(seen: Seen) -> list[Finding]:
    """Finds pictures, and groups, on both sides of a split."""
    found = []
    parts = seen.catalogue.parts
    for (judged, other), pairs in across(seen.copies.exact, parts).items():
        text = (
            f"{_is_are(len(pairs), judged)} also in {other}, byte for byte: {_pairs(seen, pairs)}"
        )
        fix = "data.duplicates=drop leaves them out of training"
        found.append(Finding(Severity.wrong, "leak", text, fix, tuple(pairs[:MOST_SHOWN])))
    for (judged, other), pairs in across(seen.copies.near, parts).items():
        like = "looks" if len(pairs) == 1 else "look"
        text = f"{several(len(pairs), f'{judged} picture')} {like} like one in {other}: "
        fix = f"see whether they are one picture saved twice; if so, take them out of {other}"
        text += _pairs(seen, pairs, "is like")
        found.append(Finding(Severity.doubtful, "near leak", text, fix, tuple(pairs[:MOST_SHOWN])))
    return [*found, *_shared_groups(seen)]


def _is_are(count: int, part: str) -> str:
    return f"{several(count, f'{part} picture')} {'is' if count == 1 else 'are'}"


def _pairs(seen: Seen, pairs: Sequence[tuple[int, int]], verb: str = "is") -> str:
    named = [f"{seen.name(row)} {verb} {seen.name(other)}" for row, other in pairs[:MOST_NAMED]]
    return ", ".join(named) + (", …" if len(pairs) > MOST_NAMED else "")


def _shared_groups(seen: Seen) -> list[Finding]:
    groups = seen.summary.groups or {}
    found = []
    for number, part in enumerate(PART_NAMES):
        for other in PART_NAMES[:number]:
            if {part, other} == {"train", "unlabelled"}:
                continue
            both = sorted(groups.get(part, {}).keys() & groups.get(other, {}).keys())
            if both:
                more = ", …" if len(both) > MOST_NAMED else ""
                names = ", ".join(printable(name) for name in both[:MOST_NAMED]) + more
                what = "group has" if len(both) == 1 else "groups have"
                text = f"{len(both):,} {what} pictures in both {other} and {part}: {names}"
                fix = "move each group to one part; a run is refused until then"
                found.append(Finding(Severity.wrong, "group leak", text, fix))
    return found


def copies_within(seen: Seen) -> list[Finding]:
    """Finds the same picture more than once in a part, and in different classes."""
    found = []
    differing = contradictions(seen.catalogue, seen.copies.exact)
    if differing:
        verb = "is" if len(differing) == 1 else "are"
        what = f"{several(len(differing), 'picture')} {verb} in more than one class"
        text, fix = (
            f"{what}: {_classed(seen, differing[0])}",
            "keep each in the class that is right",
        )
        found.append(Finding(Severity.wrong, "two classes", text, fix, _shown(differing)))
    parts = seen.catalogue.parts
    same = [rows for rows in within(seen.copies.exact, parts) if rows not in differing]
    if same:
        too_many = sum(map(len, same)) - len(same)
        what = several(too_many, "picture is a copy", "pictures are copies")
        text = f"{what} of another in the same part, byte for byte: {seen.named(same[0])}"
        fix = "remove them: a validation that is drawn from them would hold what training holds"
        found.append(Finding(Severity.doubtful, "copies", text, fix, _shown(same)))
    return [*found, *_near_copies(seen)]


def _near_copies(seen: Seen) -> list[Finding]:
    found = []
    alike = within(seen.copies.near, seen.catalogue.parts)
    differing = contradictions(seen.catalogue, alike)
    if differing:
        number = sum(map(len, differing))
        what = f"{number:,} pictures look like one of another class"
        text, fix = (
            f"{what}: {_classed(seen, differing[0])}",
            "keep each in the class that is right",
        )
        found.append(Finding(Severity.doubtful, "alike in classes", text, fix, _shown(differing)))
    alike = [rows for rows in alike if rows not in differing]
    if alike:
        number = sum(map(len, alike))
        text = f"{number:,} pictures look like another of their part: {seen.named(alike[0])}"
        fix = "see whether they are one picture saved twice; frames of one film are a group"
        found.append(Finding(Severity.note, "near copies", text, fix, _shown(alike)))
    return found


def _classed(seen: Seen, rows: Sequence[int]) -> str:
    labels = seen.catalogue.labels or []
    named = [f"{seen.name(row)} ({printable(labels[row])})" for row in rows[:MOST_NAMED]]
    return ", ".join(named)


def _shown(clusters: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(rows) for rows in clusters[:MOST_SHOWN])
