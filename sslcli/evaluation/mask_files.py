"""Reads masks: pictures whose pixels are the numbers of classes, one for each picture."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.images import ImageSet
from sslcli.data.resize import centre_square
from sslcli.data.stored_picture import seen_size
from sslcli.errors import SslcliError
from sslcli.threads import map_in_threads

IGNORED = 255
"""The value of pixels that belong to no class."""


@dataclass(frozen=True)
class Masks:
    """Holds the paths of N masks, and of their pictures; they are read when asked for."""

    paths: tuple[str, ...]
    pictures: tuple[str, ...]
    resolution: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Returns masks (N, R, R), cut and resized as their pictures are: nearest neighbour.

        Raises SslcliError for one that is no mask, or has another size than its picture.
        """
        chosen = np.arange(len(self))[rows]
        read = list(map_in_threads(lambda index: self._read(int(chosen[index])), len(chosen)))
        return np.stack(read)

    def _read(self, row: int) -> NDArray[np.uint8]:
        path, picture = self.paths[row], self.pictures[row]
        try:
            with Image.open(path) as mask:
                mask.load()
                if mask.mode not in ("1", "L", "P"):
                    message = f"{path} is no mask: it is stored as {mask.mode}"
                    raise SslcliError(message, "save the numbers of classes as 8-bit grey (PNG)")
                with Image.open(picture) as seen:
                    size = seen_size(seen)
                if mask.size != size:
                    told = "x".join(map(str, mask.size))
                    message = f"{path} is {told} pixels, and its picture has another size"
                    raise SslcliError(message, f"make it as large as {picture}, seen upright")
                square = centre_square(mask, self.resolution, Image.Resampling.NEAREST)
                return np.asarray(square).astype(np.uint8)
        except (OSError, SyntaxError, ValueError) as reason:
            raise SslcliError(f"{path} cannot be read: {reason}", "repair the mask") from reason


def masks_of(part: ImageSet, root: Path, folder: Path) -> Masks:
    """Returns the masks of pictures below `root`, which lie in `folder` by the same names.

    A mask may also be a .png where its picture is not. Raises SslcliError where one is missing, or
    the pictures come from no files.
    """
    if part.paths is None:
        message = "masks belong to pictures in files, and these data have none"
        raise SslcliError(message, "use data=folder or data=table")
    found = [_mask(path, root, folder) for path in part.paths]
    missing = [path for path, mask in zip(part.paths, found, strict=True) if mask is None]
    if missing:
        message = f"{len(missing)} of {len(found)} pictures have no mask in {folder}: {missing[0]}"
        name = os.path.relpath(missing[0], root)
        raise SslcliError(message, f"put it there under the picture's name: {folder / name}")
    return Masks(tuple(mask for mask in found if mask is not None), part.paths, part.resolution)


def _mask(picture: str, root: Path, folder: Path) -> str | None:
    name = folder / os.path.relpath(picture, root)
    there = [path for path in (name, name.with_suffix(".png")) if path.is_file()]
    return str(there[0]) if there else None
