"""Holds a picture of any depth and number of channels, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.array_images import composite_on_white


@dataclass(frozen=True)
class DeepPicture:
    """Holds a picture upright: `pixels` (H, W, C) of any type of numbers, C from 1 to 64.

    `alpha` (H, W) of the same type, its largest number being opaque; None where there is none.
    `tags`: what a TIFF says of its place on earth, by number; `notes`: what the user should know.
    `is_unit`: 0 and 1 are black and white, whatever `data.range` says.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    tags: tuple[tuple[Any, ...], ...] = ()
    notes: tuple[str, ...] = ()
    icc_profile: bytes | None = None
    is_unit: bool = False

    @property
    def on_white(self) -> NDArray[Any]:
        """Returns the pixels, laid on white where transparent."""
        if self.alpha is None:
            return self.pixels
        whole: NDArray[Any] = composite_on_white(np.dstack([self.pixels, self.alpha])[None])[0]
        return whole


class MissingPackage(ValueError):
    """Means that a picture needs a package which is not installed, one of sslcli's extras."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"it needs {package}: pip install 'sslcli[{extra}]'")
        self.package, self.fix = package, f"pip install 'sslcli[{extra}]'"


def upright(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turns a picture (H, W, ...) as EXIF's orientation, 1 to 8, asks for."""
    ways: dict[int, NDArray[Any]] = {
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.swapaxes(0, 1),
        6: np.rot90(picture, -1),
        7: picture[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(picture),
    }  # all of them views
    return ways.get(orientation, picture)
