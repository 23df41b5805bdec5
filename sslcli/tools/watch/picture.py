"""Draws a picture as characters, two pixels in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.screen import Piece

LEAST = 6
"""Lines below which nothing of a picture would be seen."""


def picture_lines(path: Path, width: int, height: int) -> list[list[Piece]]:
    """Returns the picture, as wide as there is room, without what is too low.

    So a sheet of pictures loses its last rows, and is still told apart. Returns nothing where there
    is too little room, or the file is damaged.
    """
    from PIL import Image

    if height < LEAST:
        return []
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return []
    scale = min(1.0, width / picture.width)
    size = (max(1, int(picture.width * scale)), 2 * max(1, int(picture.height * scale / 2)))
    pixels = np.asarray(picture.resize(size, Image.Resampling.BOX))[: 2 * height]
    return [
        [("▀", f"{_colour(upper)} on {_colour(lower)}") for upper, lower in zip(*rows, strict=True)]
        for rows in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def _colour(pixel: NDArray[np.uint8]) -> str:
    red, green, blue = pixel
    return f"#{red:02x}{green:02x}{blue:02x}"
