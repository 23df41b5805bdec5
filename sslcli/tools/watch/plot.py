"""Plots curves as characters of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sslcli.report.curves import MANY_POINTS, title_of, y_limits
from sslcli.report.families import Line, smooth
from sslcli.report.style import COLOURS

BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each of a character's 4 x 2 dots."""
LABEL = 9
"""Characters of the values beside a plot."""
Piece = tuple[str, str]


def plot(
    metric: str, lines: Sequence[Line], width: int, height: int, has_unicode: bool = True
) -> list[list[Piece]]:
    """Returns a plot of `height` lines, each of `width` characters in pieces with styles.

    The first line is the title with the newest value, the last the x axis. A long curve is drawn
    as its running mean. Without unicode a character has one dot.
    """
    rows, columns = height - 2, width - LABEL - 1
    per_row, per_column = (4, 2) if has_unicode else (1, 1)
    drawn = [_drawn(line, columns * per_column) for line in lines]
    low, high = _range(metric, [line.y for line in drawn])
    last = max(float(line.x.max()) for line in drawn) or 1.0
    cells = np.zeros((rows, columns), np.int64)
    colours = np.zeros((rows, columns), np.int64)
    for line in drawn:
        right, up = columns * per_column - 1, rows * per_row - 1
        dots_x = (line.x / last * right).round().astype(np.int64).clip(0, right)
        dots_y = up - ((line.y - low) / (high - low) * up).round().astype(np.int64).clip(0, up)
        for dot_x, dot_y in zip(*_joined(dots_x, dots_y), strict=True):
            row, column = dot_y // per_row, dot_x // per_column
            cells[row, column] |= DOTS[dot_y % per_row][dot_x % per_column]
            colours[row, column] = line.colour
    return [
        _heading(metric, lines, width),
        *_body(cells, colours, low, high, has_unicode),
        [(f"{'epoch 0':>{LABEL + 8}}{f'{last:.4g}':>{max(0, columns - 7)}}"[:width], "dim")],
    ]


def _drawn(line: Line, most: int) -> Line:
    return line if len(line.x) < MANY_POINTS else smooth(line, most)


def _range(metric: str, values: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    limits = y_limits(metric, values)
    if limits is not None:
        return limits
    every = np.concatenate(list(values))
    return float(every.min()), float(every.max())


def _joined(x: NDArray[np.int64], y: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Returns the dots of the lines between points (n,)."""
    all_x, all_y = [int(x[0])], [int(y[0])]
    for before in range(len(x) - 1):
        dx, dy = int(x[before + 1] - x[before]), int(y[before + 1] - y[before])
        for part in range(1, (num := max(abs(dx), abs(dy), 1)) + 1):
            all_x.append(int(x[before]) + round(dx * part / num))
            all_y.append(int(y[before]) + round(dy * part / num))
    return all_x, all_y


def _heading(metric: str, lines: Sequence[Line], width: int) -> list[Piece]:
    title = f"{title_of(metric)} "[: width - 1]
    pieces, used = [(title, "bold")], len(title)
    for line in lines:
        text = f"{line.name} {line.y[-1]:.4g} ".lstrip()
        if used + len(text) > width:
            break
        pieces.append((text, COLOURS[line.colour % len(COLOURS)]))
        used += len(text)
    return [*pieces, (" " * (width - used), "")]


def _body(
    cells: NDArray[np.int64],
    colours: NDArray[np.int64],
    low: float,
    high: float,
    has_unicode: bool,
) -> list[list[Piece]]:
    found = []
    for row, dots in enumerate(cells):
        value = {0: _label(high), len(cells) - 1: _label(low)}.get(row, "")
        pieces = [(f"{value:>{LABEL}}" + ("┤" if has_unicode else "|"), "dim")]
        for column, bits in enumerate(dots):
            character = chr(BRAILLE + bits) if has_unicode else "*" if bits else " "
            pieces.append((character, COLOURS[colours[row, column] % len(COLOURS)]))
        found.append(pieces)
    return found


def _label(value: float) -> str:
    """Returns the value in at most LABEL characters, rounded and never cut."""
    texts = (f"{value:.{digits}g}" for digits in (4, 3, 2, 1))
    return next(text for text in texts if len(text) <= LABEL)
