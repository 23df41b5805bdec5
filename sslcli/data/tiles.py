"""Cuts the pictures of a listing into tiles, each of which is then a picture of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sslcli.data.decode import read_each
from sslcli.data.images import Track
from sslcli.data.pixel_cache import keep, kept_records
from sslcli.data.scan import Listing, PictureFiles
from sslcli.data.split import StoredParts
from sslcli.data.tile_sources import Box, Sources
from sslcli.errors import SslcliError
from sslcli.preprocessing import Range

LEVELS = 254
"""Steps in which the empty part of a tile is kept; 0 stands for one that is not known."""
SIZE = np.dtype("<u4")


@dataclass(frozen=True)
class TileRule:
    """Says how tiles are cut: squares of `side` pixels which share `overlap` with the next.

    Tiles of which a larger part than `empty` has nearly one colour are left out. `apart`: those of
    a picture are a group. `range`: as `data.range`.
    """

    side: int
    overlap: int
    empty: float
    apart: bool
    range: Range | None = None

    @property
    def name(self) -> str:
        """Names what the tiles hold, in the names of caches."""
        ends = "" if self.range is None else f",{self.range[0]:.15g},{self.range[1]:.15g}"
        return f"tile={self.side},{self.overlap}{ends}"

    def boxes(self, height: int, width: int) -> list[Box]:
        """Returns where the tiles of a picture are, row by row: left, top, right, bottom.

        The last ones of a row and of a column lie at the border, and share more. A picture that is
        smaller than a tile is one tile, whole.
        """
        if min(height, width) < self.side:
            return [(0, 0, width, height)]
        return [
            (left, top, left + self.side, top + self.side)
            for top in self._starts(height)
            for left in self._starts(width)
        ]

    def _starts(self, length: int) -> list[int]:
        last = length - self.side
        starts = list(range(0, last + 1, self.side - self.overlap))
        return starts if starts[-1] == last else [*starts, last]


@dataclass(frozen=True)
class TileListing(Listing):
    """Lists N tiles of the pictures of `sources`.

    `of` (N,) int64: the row of the picture that each is cut from; `boxes` (N, 4) int64: left, top,
    right, bottom. A picture that cannot be opened is one tile, with a box of zeros.
    """

    sources: Sources
    of: NDArray[np.int64]
    boxes: NDArray[np.int64]
    rule: str

    def read(self, row: int) -> bytes:
        left, top, right, bottom = self.boxes[row].tolist()
        return self.sources.read(int(self.of[row]), (left, top, right, bottom))

    @property
    def kept_as(self) -> str:
        return f"{self.sources.listing.kept_as}#{self.rule}"

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Returns the first tile of each picture, and the number of tiles at the end."""
        return np.searchsorted(self.of, np.arange(len(self.sources.listing) + 1))


def tiled(
    listing: Listing,
    stored: StoredParts[PictureFiles],
    rule: TileRule,
    workers: int | None,
    track: Track,
) -> tuple[TileListing, StoredParts[PictureFiles]]:
    """Returns the tiles, and the parts with the tiles of their pictures that are not empty.

    Raises SslcliError where nothing is left of a part, and where a single picture is all there is
    to hold validation out of.
    """
    _require_several(stored, rule)
    tiles = list_tiles(listing, rule, workers, track)
    empty = empty_parts(tiles, workers, track)
    kept = empty <= rule.empty

    def cut(name: str) -> PictureFiles | None:
        part: PictureFiles | None = getattr(stored, name)
        return None if part is None else _tiles_of(name, part, tiles, kept, rule)

    parts = {name: cut(name) for name in ("train", "val", "test", "unlabelled")}
    warnings = (*stored.warnings, *_said(tiles, kept, rule))
    return tiles, replace(stored, **parts, warnings=warnings)  # type: ignore[arg-type]


def list_tiles(listing: Listing, rule: TileRule, workers: int | None, track: Track) -> TileListing:
    """Returns the tiles of all pictures, whose sizes are read from their headers, once."""
    sources = Sources(listing, workers, rule.range)
    sizes = picture_sizes(sources, np.arange(len(listing)), workers, track)
    boxes = [
        rule.boxes(height, width) if height else [(0, 0, 0, 0)] for height, width in sizes.tolist()
    ]
    counts = np.array([len(found) for found in boxes], dtype=np.int64)
    of = np.repeat(np.arange(len(listing)), counts)
    every = [box for found in boxes for box in found]
    names = tuple(
        f"{listing.names[row]}#x={box[0]},y={box[1]}"
        for row, box in zip(of.tolist(), every, strict=True)
    )
    return TileListing(
        root=listing.root,
        names=names,
        sizes=(listing.sizes // counts)[of],
        changed=listing.changed[of],
        sources=sources,
        of=of,
        boxes=np.array(every, dtype=np.int64),
        rule=rule.name,
    )


def picture_sizes(
    sources: Sources, rows: NDArray[np.int64], workers: int | None, track: Track
) -> NDArray[np.int64]:
    """Returns (N, 2) heights and widths, as seen upright; 0 of what cannot be opened.

    They are kept: a header is read once.
    """
    listing = sources.listing
    records = kept_records(listing, "sizes", 2 * SIZE.itemsize)
    missing = rows[~records.rows[rows].any(axis=1)]
    found = read_each(lambda index: sources.size(int(missing[index])), len(missing), workers)
    label = "measuring pictures"
    for row, size in zip(missing, track(found, total=len(missing), label=label), strict=True):
        if not isinstance(size, Exception):
            records.rows[row] = np.array(size, dtype=SIZE).view(np.uint8)
    if len(missing):
        keep(records, listing, "sizes")
    return np.ascontiguousarray(records.rows[rows]).view(SIZE).astype(np.int64)


def aspects_of(
    listing: Listing, rows: NDArray[np.int64], workers: int | None, track: Track
) -> NDArray[np.float64]:
    """Returns (N,) width over height, as seen upright; 1 of what cannot be opened."""
    sizes = picture_sizes(Sources(listing, workers), rows, workers, track)
    height, width = np.maximum(sizes, 1).astype(np.float64).T
    aspects: NDArray[np.float64] = width / height
    return aspects


def empty_parts(tiles: TileListing, workers: int | None, track: Track) -> NDArray[np.float64]:
    """Returns (N,) the part of each tile that has nearly one colour, rounded down to 1/254.

    Each picture is decoded for it, once. A tile that cannot be read has 0, so that it is kept, and
    named where it is decoded.
    """
    records = kept_records(tiles, "empty", 1)
    missing = np.flatnonzero(records.rows[:, 0] == 0)

    def measure(index: int) -> float:
        row = int(missing[index])
        return tiles.sources.empty_part(int(tiles.of[row]), tuple(tiles.boxes[row].tolist()))

    found = read_each(measure, len(missing), workers)
    label = "looking for empty tiles"
    for row, part in zip(missing, track(found, total=len(missing), label=label), strict=True):
        if not isinstance(part, Exception):
            records.rows[row] = 1 + int(part * LEVELS)
    if len(missing):
        keep(records, tiles, "empty")
    return np.maximum(records.rows[:, 0].astype(np.float64) - 1, 0) / LEVELS


def _tiles_of(
    name: str, part: PictureFiles, tiles: TileListing, kept: NDArray[np.bool_], rule: TileRule
) -> PictureFiles:
    """Returns the kept tiles of a part's pictures, with what is known of these."""
    starts, ends = tiles.first[part.rows], tiles.first[part.rows + 1]
    picture = np.repeat(np.arange(len(part)), ends - starts)
    rows = np.concatenate([np.arange(a, b) for a, b in zip(starts, ends, strict=True)])
    chosen = kept[rows]
    if not chosen.any():
        message = f"all {len(rows)} tiles of {name} are empty: data.tile_empty={rule.empty:g}"
        raise SslcliError(message, "data.tile_empty=1 leaves out none")
    cut = replace(part.subset(picture[chosen]), rows=rows[chosen])
    if cut.groups is None and rule.apart:
        return replace(cut, groups=tiles.of[cut.rows])
    return cut


def _require_several(stored: StoredParts[PictureFiles], rule: TileRule) -> None:
    if stored.val is None and rule.apart and stored.train.groups is None and len(stored.train) < 2:
        message = "there is one training picture, and tiles of one picture stay together"
        fix = "bring validation pictures, or data.tile_apart=false: tiles of it then test others"
        raise SslcliError(message, fix)


def _said(tiles: TileListing, kept: NDArray[np.bool_], rule: TileRule) -> list[str]:
    pictures = len(tiles.sources.listing)
    counted = f"{pictures:,} pictures are cut into {len(tiles):,} tiles of {rule.side} pixels"
    left_out = int((~kept).sum())
    said = [f"{counted}; {left_out:,} are left out as empty (data.tile_empty={rule.empty:g})"]
    sides = tiles.boxes[:, 2:] - tiles.boxes[:, :2]
    small = int(((sides > 0) & (sides != rule.side)).any(axis=1).sum())
    if small:
        said.append(f"{small:,} pictures are smaller than a tile, and stay whole")
    return said
