"""Draws sheets of pictures, of filters of a first layer, of walks among codes.

Shapes: N pictures, K filters, R strips of S pictures, H W C. Pixels are magnified by whole
numbers, without smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.report.sheet import (
    GAP,
    HEADING,
    LABEL_SIZE,
    MARGIN,
    Label,
    draw_sheet,
    magnification,
    magnify,
    note_below,
    save_blocks,
    text_width,
    tile,
)
from sslcli.report.style import draw_arrow, drawable, save_figure

MAX_FILTERS = 100
FILTER, TITLE, GAP_OF_STRIPS, GAP_OF_WORDS = 60, 24, 10, 10
"""Pixels: the side of a magnified filter, about; a title's height; between strips; beside labels.
"""
LONGEST_NAME, LONGEST_TITLE = 48, 80
"""Characters."""


def save_grid(path: Path, columns: Mapping[str, NDArray[np.uint8]], note: str = "") -> None:
    """Draws a row for each of N pictures; `columns`: name -> (N, H, W, C), C 1 or 3."""
    assert len({pictures.shape for pictures in columns.values()}) == 1, (
        "columns show the same pictures"
    )
    cells = np.stack(list(columns.values()), axis=1)
    headings = [drawable(name) for name in columns]
    factor = magnification(cells.shape[3], at_least=max(map(text_width, headings)))
    save_blocks(path, magnify(cells, factor), headings, note=note)


def save_filters(path: Path, filters: NDArray[np.float32]) -> None:
    """Draws the filters (K, H, W, C) of a first layer, C being 1 or 3.

    Of more than MAX_FILTERS, so many at even distances. Grey is zero; black and white are minus
    and plus the largest absolute weight of each.
    """
    num_filters, height, width, _ = filters.shape
    chosen = np.linspace(0, num_filters - 1, min(num_filters, MAX_FILTERS)).round().astype(int)
    pictures = magnify(_around_grey(filters[chosen]), magnification(width, near=FILTER))
    num_columns = _num_columns(len(chosen))
    missing = np.full((-len(chosen) % num_columns, *pictures.shape[1:]), 255, np.uint8)
    cells = np.concatenate([pictures, missing]).reshape(-1, num_columns, *pictures.shape[1:])
    title = f"{len(chosen):,} of {num_filters:,} filters, {height}×{width}"
    scale = "each scaled to its largest weight, grey is 0"
    labels = [
        Label(title, MARGIN, MARGIN + TITLE / 2, "left", title=True),
        Label(scale, MARGIN, MARGIN + TITLE + HEADING / 2, "left"),
    ]
    save_figure(draw_sheet(tile(cells), labels, top=MARGIN + TITLE + HEADING), path)


def save_strips(
    path: Path,
    strips: NDArray[np.uint8],
    row_names: Sequence[str],
    title: str,
    ends: tuple[str, str],
    note: str = "",
) -> None:
    """Draws R strips (R, S, H, W, C), each changing from `ends[0]` to `ends[1]`."""
    assert len(row_names) == len(strips), f"{len(row_names)} names of {len(strips)} strips"
    start, end = (drawable(words) for words in ends)
    names = [drawable(name, LONGEST_NAME) for name in row_names]
    num_pictures, height, width = strips.shape[1:4]
    words_width = text_width(start) + text_width(end) + 4 * GAP_OF_WORDS
    factor = magnification(width, at_least=words_width / num_pictures - GAP)
    tiles = tile(magnify(strips, factor), row_gap=GAP_OF_STRIPS)
    names_width = math.ceil(max(map(text_width, names)))
    left = MARGIN + (names_width + GAP_OF_WORDS if names_width else 0)
    right, line = left + tiles.shape[1], MARGIN + TITLE + HEADING / 2
    top = MARGIN + TITLE + HEADING
    labels = [
        Label(drawable(title, LONGEST_TITLE), left, MARGIN + TITLE / 2, "left", title=True),
        Label(start, left, line, "left"),
        Label(end, right, line, "right"),
    ]
    for row, name in enumerate(names):
        middle = top + row * (height * factor + GAP_OF_STRIPS) + height * factor / 2
        labels.append(Label(name, left - GAP_OF_WORDS, middle, "right"))
    labels += note_below(note, top + tiles.shape[0], left)
    figure = draw_sheet(tiles, labels, top, left)
    ends_of_arrow = (
        left + text_width(start) + GAP_OF_WORDS,
        right - text_width(end) - GAP_OF_WORDS,
    )
    draw_arrow(figure, *ends_of_arrow, line, head=LABEL_SIZE)
    save_figure(figure, path)


def _around_grey(filters: NDArray[np.float32]) -> NDArray[np.uint8]:
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = filters / np.where(largest > 0, largest, 1)
    pictures: NDArray[np.uint8] = (127.5 + 127.5 * scaled).round().astype(np.uint8)
    return pictures


def _num_columns(num_tiles: int) -> int:
    """Chooses the sheet with the fewest holes, then the squarest."""
    squarest = math.ceil(math.sqrt(num_tiles))
    return min(
        range(squarest, 3 * squarest // 2 + 1), key=lambda num_columns: -num_tiles % num_columns
    )
