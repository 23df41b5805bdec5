"""Prints what was found, short enough for a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sslcli.text import printable
from sslcli.tools.inspect.findings import TITLES, Finding, Seen, Severity, several, stops_a_run
from sslcli.tools.inspect.words import Asked

if TYPE_CHECKING:
    from sslcli.console import Console

MOST_CLASSES = 4


def show(asked: Asked, seen: Seen, found: Sequence[Finding], console: Console) -> None:
    total, looked = len(seen.catalogue), len(seen.survey)
    some = "" if looked == total else f", {looked:,} looked at"
    size = seen.catalogue.num_bytes
    megabytes = "" if size is None else f", {size / 1e6:,.1f} MB"
    title = f"{' '.join(asked.words)}: {several(total, 'picture')}{megabytes}{some}"
    console.columns(title, rows(seen))
    for severity in Severity:
        lines = [finding for finding in found if finding.severity is severity]
        if lines:
            console.columns(TITLES[severity], [("•", _line(finding)) for finding in lines])
    if not any(finding.severity is not Severity.note for finding in found):
        console.say("nothing to mend was found\n")
    after = ", once what stops it is mended" if any(map(stops_a_run, found)) else ""
    console.say(f"to train on it{after}:\n  {seen.advice.command}")
    for reason in seen.advice.reasons:
        console.say(f"  {reason}")


def _line(finding: Finding) -> str:
    return finding.text + (f"\n→ {finding.fix}" if finding.fix else "")


def rows(seen: Seen) -> list[tuple[str, str]]:
    """Returns (what, how many) of everything that was counted."""
    summary = seen.summary
    drawn = " (val is drawn from what is for training)" if seen.catalogue.held_out else ""
    lines = [("parts", counted(summary.parts) + drawn)]
    sizes = summary.sizes()
    if sizes:
        lines.append(("sizes", _sizes(sizes)))
    kinds = {name: counted(summary.kinds[name]) for name in ("channels", "depth", "format")}
    lines += [(name, counts) for name, counts in kinds.items() if counts]
    marks = {name: count for name, count in summary.kinds["marks"].items() if count}
    if marks:
        lines.append(("of these", counted(marks)))
    if summary.classes is not None:
        lines.append(("classes", _classes(summary.classes)))
    if seen.catalogue.targets is not None:
        known = seen.catalogue.targets
        lines.append(("target", f"{len(known):,} numbers, {known.min():g} to {known.max():g}"))
    if summary.groups is not None:
        each = {part: len(names) for part, names in summary.groups.items()}
        lines.append(("groups", counted(each)))
    copies = sum(map(len, seen.copies.exact)) - len(seen.copies.exact)
    near = sum(map(len, seen.copies.near))
    lines.append(("copies", f"{copies:,} byte for byte; {near:,} look like another"))
    lines.append(("broken", f"{len(seen.survey.bad):,}"))
    return lines


def counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{printable(name)} {count:,}" for name, count in counts.items())


def _sizes(sizes: Mapping[str, Any]) -> str:
    short, long, aspect = sizes["shorter side"], sizes["longer side"], sizes["aspect"]
    if short["smallest"] == short["largest"] and long["smallest"] == long["largest"]:
        return f"all {short['median']:g} x {long['median']:g} px"
    return (
        f"shorter side {_three(short)} px, longer {_three(long)} px; "
        f"longer ÷ shorter {_three(aspect)}  (smallest – median – largest)"
    )


def _three(values: Mapping[str, float]) -> str:
    return " – ".join(f"{values[name]:.4g}" for name in ("smallest", "median", "largest"))


def _classes(counts: Mapping[str, Mapping[str, int]]) -> str:
    part = "train" if "train" in counts else next(iter(counts))
    of_part = list(counts[part].items())
    if len(of_part) <= 2 * MOST_CLASSES:
        return f"{len(of_part)} in {part}: {counted(dict(of_part))}"
    ends = f"{counted(dict(of_part[:MOST_CLASSES]))}, …, {counted(dict(of_part[-MOST_CLASSES:]))}"
    return f"{len(of_part):,} in {part}: {ends}"
