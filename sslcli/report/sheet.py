"""Draws sheets of small magnified pictures on white, with labels around them.

Positions are pixels from the sheet's top left corner. Cells are (rows, columns, h, w, 3) uint8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslcli.report.style import DPI, INK, MUTED, bare_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 84
"""Pixels that a small picture is magnified to, about."""
GAP, GAP_BETWEEN_BLOCKS, MARGIN, HEADING = 4, 36, 16, 20
"""Pixels."""
SHEET_SHAPE = 1.6
"""Width over height of a sheet, about."""
TITLE_SIZE, LABEL_SIZE = 9, 7
"""Points."""


class Label(NamedTuple):
    """Holds a text with its middle, or the end named by `align`, at (`x`, `y`)."""

    words: str
    x: float
    y: float
    align: str = "center"
    title: bool = False


def magnification(width: int, near: int = CELL, at_least: float = 0) -> int:
    """Returns the factor that makes `width` pixels about `near`, or `at_least`."""
    return max(1, round(near / width), math.ceil(at_least / width))


def magnify(pictures: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Repeats pixels: (..., H, W, C) -> (..., factor * H, factor * W, 3); C is 1 or 3."""
    assert pictures.dtype == np.uint8, f"pictures are uint8, not {pictures.dtype}"
    assert pictures.shape[-1] in (1, 3), f"pictures have 1 or 3 channels, not {pictures.shape[-1]}"
    large = pictures.repeat(factor, axis=-3).repeat(factor, axis=-2)
    return large.repeat(3, axis=-1) if large.shape[-1] == 1 else large


def cell_lefts(num_columns: int, width: int, first_gap: int = GAP) -> list[int]:
    """Returns where the columns begin; `first_gap` follows the first."""
    return [0] + [width + first_gap + column * (width + GAP) for column in range(num_columns - 1)]


def tile(cells: NDArray[np.uint8], row_gap: int = GAP, first_gap: int = GAP) -> NDArray[np.uint8]:
    """Puts cells beside each other on white."""
    num_rows, num_columns, height, width, _ = cells.shape
    lefts = cell_lefts(num_columns, width, first_gap)
    tiles = np.full((num_rows * (height + row_gap) - row_gap, lefts[-1] + width, 3), 255, np.uint8)
    for row, pictures in enumerate(cells):
        top = row * (height + row_gap)
        for left, picture in zip(lefts, pictures, strict=True):
            tiles[top : top + height, left : left + width] = picture
    return tiles


def save_blocks(
    path: Path,
    cells: NDArray[np.uint8],
    headings: Sequence[str],
    first_gap: int = GAP,
    note: str = "",
) -> None:
    """Draws a row of cells a picture, in as many blocks as shape the sheet well.

    The `note` stands below.
    """
    num_pictures, num_columns, height, width, _ = cells.shape
    num_rows = _num_rows(num_pictures, num_columns * width / height)
    missing = np.full((-num_pictures % num_rows, *cells.shape[1:]), 255, np.uint8)
    blocks = np.split(np.concatenate([cells, missing]), range(num_rows, num_pictures, num_rows))
    tiles = [tile(block, first_gap=first_gap) for block in blocks]
    gap = np.full((tiles[0].shape[0], GAP_BETWEEN_BLOCKS, 3), 255, np.uint8)
    sheet = np.concatenate([part for block in tiles for part in (gap, block)][1:], axis=1)
    step = tiles[0].shape[1] + GAP_BETWEEN_BLOCKS
    starts = [MARGIN + block * step for block in range(len(tiles))]
    labels = [
        Label(words, start + left + width / 2, MARGIN + HEADING / 2)
        for start in starts
        for words, left in zip(headings, cell_lefts(num_columns, width, first_gap), strict=True)
    ]
    labels += note_below(note, MARGIN + HEADING + sheet.shape[0], MARGIN)
    save_figure(draw_sheet(sheet, labels, top=MARGIN + HEADING), path)


def note_below(note: str, bottom: int, left: int) -> list[Label]:
    """Returns the label of a note below the tiles, which end at `bottom`; none of an empty one."""
    return [Label(note, left, bottom + HEADING / 2 + GAP, "left")] if note else []


def draw_sheet(
    tiles: NDArray[np.uint8], labels: Sequence[Label], top: int, left: int = MARGIN
) -> Figure:
    """Returns a figure of `tiles` at (`left`, `top`), large enough for every label."""
    ends = [
        label.x + text_width(label.words, label.title) for label in labels if label.align == "left"
    ]
    right = max([MARGIN, *(math.ceil(end) + MARGIN - left - tiles.shape[1] for end in ends)])
    lowest = max([0.0, *(label.y + HEADING / 2 for label in labels)])
    below = max(MARGIN, math.ceil(lowest) - top - tiles.shape[0])
    sheet = np.pad(tiles, ((top, below), (left, right), (0, 0)), constant_values=255)
    height, width = sheet.shape[:2]
    figure = bare_figure(width / DPI, height / DPI)
    figure.figimage(sheet, origin="upper")
    for label in labels:
        size, colour = (TITLE_SIZE, INK) if label.title else (LABEL_SIZE, MUTED)
        position = (label.x / width, 1 - label.y / height)
        figure.text(
            *position, label.words, ha=label.align, va="center", fontsize=size, color=colour
        )
    return figure


def text_width(words: str, title: bool = False) -> float:
    """Returns the width of a drawn text in pixels."""
    text = bare_figure(1, 1).text(0, 0, words, fontsize=TITLE_SIZE if title else LABEL_SIZE)
    return float(text.get_window_extent().width)


def _num_rows(num_pictures: int, row_shape: float) -> int:
    """Chooses the number of pictures in a block.

    `row_shape`: the width of one picture's row over its height.
    """

    def distance(num_rows: int) -> float:
        return abs(
            math.log(math.ceil(num_pictures / num_rows) * row_shape / num_rows / SHEET_SHAPE)
        )

    evenly = {math.ceil(num_pictures / num_blocks) for num_blocks in range(1, num_pictures + 1)}
    return min(sorted(evenly), key=distance)
