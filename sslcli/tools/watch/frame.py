"""Composes what a terminal shows of one run, or of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from sslcli.console import STATUS_STYLES
from sslcli.report.families import Line
from sslcli.screen import Line as TextLine
from sslcli.screen import Piece
from sslcli.tools.watch.picture import picture_lines
from sslcli.tools.watch.plot import plot
from sslcli.tools.watch.sight import Sight

PLOT_WIDTH, PLOT_HEIGHT, GAP = 44, 9, 2
"""Characters of a plot, at least, and between two."""
MAX_WORDS = 4
"""Alarms, and warnings, that are shown; the page and log.txt have all."""
DRAWN = ("restorations", "reconstructions", "fillings", "views")
"""Figures that are still told apart in few characters; the first that is there is shown."""
TALL, KEPT_FOR_PICTURE = 36, 14
"""Lines of a terminal from which so many are kept for a picture."""
NO_LINE: TextLine = [("", "")]


def frame(
    sights: Sequence[Sight], width: int, height: int, has_unicode: bool = True
) -> list[TextLine]:
    """Returns at most `height` lines about the runs; of several, each has its share."""
    share = max(1, height // max(1, len(sights)))
    lines: list[TextLine] = []
    for sight in sights:
        lines += _run(sight, width, share, has_unicode)
    return lines[:height]


def _run(sight: Sight, width: int, height: int, has_unicode: bool) -> list[TextLine]:
    lines = [*_heading(sight, width, has_unicode), NO_LINE]
    left = height - len(lines)
    panels = [panel for family in sight.families.values() for panel in family.items()]
    across = max(1, (width + GAP) // (PLOT_WIDTH + GAP))
    own_width = max(20, (width - GAP * (across - 1)) // across)
    pictures = _pictures(sight) if has_unicode else []
    kept = KEPT_FOR_PICTURE if pictures and height >= TALL else 0
    while panels and left - kept >= PLOT_HEIGHT:
        row, panels = panels[:across], panels[across:]
        lines += _side_by_side(row, own_width, has_unicode)
        left -= PLOT_HEIGHT
    drawn = picture_lines(pictures[0], width, left - 1) if pictures else []
    return [*lines, NO_LINE, *drawn] if drawn else lines


def _pictures(sight: Sight) -> list[Path]:
    by_name = {path.stem: path for path in sight.figures.values()}
    return [by_name[name] for name in DRAWN if name in by_name]


def _heading(sight: Sight, width: int, has_unicode: bool) -> list[TextLine]:
    style = STATUS_STYLES.get(sight.status, "red" if sight.has_ended else "")
    lines: list[TextLine] = [[(sight.title, "bold"), ("  ", ""), (sight.status, style)]]
    lines.append([(str(sight.folder), "dim")])
    if sight.progress is not None:
        lines.append(_progress(sight, width, has_unicode))
    for words, style in ((sight.alarms, "bold red"), (sight.warnings, "yellow")):
        for text in words[:MAX_WORDS]:
            lines += [[(line, style)] for line in wrap(f"! {text}", width)[:2]]
    numbers = "   ".join(f"{name} {value}" for name, value in sight.numbers)
    return [*lines, *([(line, "")] for line in wrap(numbers, width)[:2])]


def _progress(sight: Sight, width: int, has_unicode: bool) -> list[Piece]:
    assert sight.progress is not None
    share, words = sight.progress.share, sight.progress.words
    if share is None:
        return [(words, "")]
    room = max(4, min(40, width - len(words) - 8))
    full = round(share * room)
    done, open_ = ("━", "─") if has_unicode else ("#", "-")
    bar = [(done * full, "green"), (open_ * (room - full), "dim")]
    return [*bar, (f" {share:4.0%}  {words}", "")]


def _side_by_side(
    panels: Sequence[tuple[str, Sequence[Line]]], width: int, has_unicode: bool
) -> list[TextLine]:
    plots = [plot(metric, lines, width, PLOT_HEIGHT, has_unicode) for metric, lines in panels]
    apart: list[Piece] = [(" " * GAP, "")]
    return [
        [piece for at, own in enumerate(row) for piece in (apart * (at > 0) + list(own))]
        for row in zip(*plots, strict=True)
    ]
