"""Configures how pictures are cut into tiles, and made square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sslcli.data.data_config import DataConfig
from sslcli.data.images import Track
from sslcli.data.scan import Listing, PictureFiles
from sslcli.data.shape import Shape
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError, require
from sslcli.preprocessing import Range
from sslcli.settings import setting


@dataclass(kw_only=True)
class CutConfig(DataConfig):
    """Holds how pictures are cut into tiles, and made square."""

    shape: Shape = setting(
        Shape.square,
        "what is stored of pictures that are not square: square, their middle; pad, all, with "
        "borders; cover, all, squeezed: crops are drawn as from the whole picture, not squeezed",
        added_later=True,
    )
    fill: float = setting(
        0.0, "the borders that shape=pad adds, from 0, black, to 1, white", added_later=True
    )

    tile: int | None = setting(
        None,
        "side in pixels of the tiles that each picture is cut into; null: pictures stay whole",
        added_later=True,
    )
    tile_overlap: int = setting(0, "pixels that tiles side by side share", added_later=True)
    tile_empty: float = setting(
        0.95,
        "leave out tiles of which a larger part than this has nearly one colour; 1 leaves out none",
        added_later=True,
    )
    tile_apart: bool = setting(
        True,
        "tiles of one picture stay on one side of every split, where data.groups says nothing",
        added_later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        tile, overlap, empty = self.tile, self.tile_overlap, self.tile_empty
        require(tile is None or tile >= 8, "data.tile", tile, "at least 8, or null", "try 256")
        must_be, fix = f"at least 0 and below data.tile={tile}", "try 0, or a quarter of data.tile"
        require(0 <= overlap < (tile or 1), "data.tile_overlap", overlap, must_be, fix)
        fill = self.fill
        require(0 <= fill <= 1, "data.fill", fill, "from 0 to 1", "0 is black, 1 white")
        if tile is not None and self.shape is Shape.cover:
            message = "data.shape=cover of tiles, which are square already"
            raise SslcliError(message, "leave it out")
        require(0 < empty <= 1, "data.tile_empty", empty, "above 0, up to 1", "try 0.95")

    def require_middle_squares(self, what: str) -> None:
        """Raises SslcliError where anything else is stored of pictures; `what` needs them."""
        if self.tile is not None or self.shape is not Shape.square:
            stored = f"data.shape={self.shape.name}" if self.tile is None else "data.tile"
            message = (
                f"{what} lie on the middle squares of whole pictures, and {stored} stores others"
            )
            raise SslcliError(message, "evaluate on data=… without it, data.shape=square")

    def aspects(
        self, listing: Listing, rows: NDArray[np.int64], workers: int | None, track: Track
    ) -> NDArray[np.float64] | None:
        """Returns (N,) width over height of pictures that are squeezed; None where none are."""
        if self.shape is not Shape.cover:
            return None
        from sslcli.data.tiles import aspects_of

        return aspects_of(listing, rows, workers, track)

    def cut(
        self,
        listing: Listing,
        stored: StoredParts[PictureFiles],
        range_: Range | None,
        workers: int | None,
        track: Track,
    ) -> tuple[Listing, StoredParts[PictureFiles]]:
        """Returns the files as they are, or their tiles where they are to be cut.

        `range_`: the values that mean black and white, if they were given.
        """
        if self.tile is None:
            return listing, stored
        from sslcli.data.tiles import TileRule, tiled

        rule = TileRule(self.tile, self.tile_overlap, self.tile_empty, self.tile_apart, range_)
        return tiled(listing, stored, rule, workers, track)
