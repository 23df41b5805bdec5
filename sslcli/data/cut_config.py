"""Configures how pictures are cut into tiles before they are resized."""

from __future__ import annotations

from dataclasses import dataclass

from sslcli.data.data_config import DataConfig
from sslcli.data.images import Track
from sslcli.data.scan import Listing, PictureFiles
from sslcli.data.split import StoredParts
from sslcli.errors import require
from sslcli.settings import setting


@dataclass(kw_only=True)
class CutConfig(DataConfig):
    """Holds how pictures are cut into tiles."""

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
        require(0 < empty <= 1, "data.tile_empty", empty, "above 0, up to 1", "try 0.95")

    def cut(
        self,
        listing: Listing,
        stored: StoredParts[PictureFiles],
        workers: int | None,
        track: Track,
    ) -> tuple[Listing, StoredParts[PictureFiles]]:
        """Returns the files as they are, or their tiles where they are to be cut."""
        if self.tile is None:
            return listing, stored
        from sslcli.data.tiles import TileRule, tiled

        rule = TileRule(self.tile, self.tile_overlap, self.tile_empty, self.tile_apart)
        return tiled(listing, stored, rule, workers, track)
