"""Writes a map of features as one HTML page; pointing at a picture's point shows the picture.

Names and paths are text to the page: the template escapes them, its script adds them as text.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.report.embedding import class_colours
from sslcli.report.frame import Html, picture_uri, render_page
from sslcli.report.style import COLOURS

ORIGIN = "sslcli-embed"
"""Marks the pages written here."""
LARGEST_TILE = 48
"""Pixels a side. Larger pictures are shrunk to it: 2,000 of them make a page of a few MB."""
SHOWN = 144
"""Pixels a side of a picture on the page, about."""


def save_page(
    path: Path,
    points: NDArray[np.float32],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    names: Sequence[str],
    paths: Sequence[str] | None,
    title: str,
    subtitle: str,
) -> None:
    """Writes the page of `points` (N, 2) and `images` (N, H, W, C), as they are shown.

    `labels` (N,) into `names`; `paths` of the files.
    """
    tiles = _tiles(images)
    num_columns = math.ceil(math.sqrt(len(tiles)))
    magnified = max(1, round(SHOWN / tiles.shape[1])) * tiles.shape[1]
    x, y = _unit(points)
    data = {
        "x": x,
        "y": y,
        "labels": None if labels is None else labels.tolist(),
        "names": list(names),
        "colours": class_colours(len(names)) or [COLOURS[0]],
        "paths": None if paths is None else list(paths),
        "columns": num_columns,
        "shown": magnified,
    }
    values = {
        "origin": ORIGIN,
        "about": title,
        "title": title,
        "subtitle": subtitle,
        "shown": magnified,
        "sprite_width": magnified * num_columns,
        "rendering": "pixelated" if tiles.shape[1] < LARGEST_TILE else "auto",
        "sprite": _sprite(tiles, num_columns),
        "data": data,
    }
    path.write_bytes(render_page("map.html.jinja", values))


def _unit(points: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Scales points into [0, 1], both axes by one factor, y downward as on a page."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    unit = (points - (low + high) / 2) / extent + 0.5
    return [round(float(x), 4) for x in unit[:, 0]], [round(1 - float(y), 4) for y in unit[:, 1]]


def _tiles(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrinks pictures: (N, H, W, C) -> (N, S, S, 3), S at most LARGEST_TILE."""
    from PIL import Image

    coloured = images.repeat(3, axis=3) if images.shape[3] == 1 else images
    if images.shape[1] <= LARGEST_TILE:
        return coloured
    size = (LARGEST_TILE, LARGEST_TILE)
    shrunk = [Image.fromarray(picture).resize(size, Image.Resampling.BOX) for picture in coloured]
    return np.stack([np.asarray(picture) for picture in shrunk])


def _sprite(tiles: NDArray[np.uint8], num_columns: int) -> Html:
    """Returns all tiles as one picture, row by row, in a data URI: PNG, or JPEG of large tiles."""
    from PIL import Image

    num, side = len(tiles), tiles.shape[1]
    num_rows = math.ceil(num / num_columns)
    cells = np.zeros((num_rows * num_columns, side, side, 3), np.uint8)
    cells[:num] = tiles
    sheet = (
        cells.reshape(num_rows, num_columns, side, side, 3)
        .swapaxes(1, 2)
        .reshape(num_rows * side, -1, 3)
    )
    # JPEG's blocks are 16 pixels: a tile of 48 shares none with its neighbours.
    kind = "JPEG" if side == LARGEST_TILE else "PNG"
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, kind, quality=88)
    return picture_uri(content.getvalue(), kind.lower())
