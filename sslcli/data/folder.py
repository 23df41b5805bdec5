"""Loads a user's own pictures from any tree of files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.data.cut_config import CutConfig
from sslcli.data.decoded_parts import bad_picture_warnings, refuse_too_many, split_decoded
from sslcli.data.duplicates import MEANING, Duplicates, handle_duplicates
from sslcli.data.groups import with_groups
from sslcli.data.images import ImageSet, Splits, Track, evenly_spaced, untracked
from sslcli.data.scan import Listing, PictureFiles, scan
from sslcli.data.split import StoredParts
from sslcli.data.values import used_range
from sslcli.data.values_config import ValuesConfig
from sslcli.data.zip_file import scan_zip
from sslcli.errors import SslcliError, require
from sslcli.processes import size
from sslcli.settings import REQUIRED, setting
from sslcli.system import memory_bytes
from sslcli.text import printable

if TYPE_CHECKING:
    from typing_extensions import Self

    from sslcli.data.decode import Decoded, DecodeOptions
    from sslcli.data.depth import Depth

DEFAULT_RESOLUTION = 64
QUICK_FILES, QUICK_BYTES = 10_000, 200 * 10**6
"""The most files and bytes that two cores decode in a few seconds.

Larger folders are decoded once, to disk.
"""
MEMORY_SHARE = 0.25
"""The share of the machine's memory up to which pictures are decoded to memory."""


class Cache(Enum):
    """Names where decoded pictures are kept.

    `auto`: memory where decoding takes seconds at every start, else disk; disk too for several
    processes, which share it.
    """

    auto = "auto"
    memory = "memory"
    disk = "disk"
    none = "none"


@dataclass(kw_only=True)
class FolderConfig(ValuesConfig, CutConfig):
    """Reads JPEG, PNG, WebP, BMP, GIF and TIFF pictures from a folder, or a zip file of one.

    They lie in class folders or not, in train/, val/ and test/ or not.

    Each is turned upright (EXIF), laid on white where transparent, shrunk or enlarged (bicubic,
    antialiased) until its shorter side is `resolution`, and cut to its middle square, or made
    square as `shape` says.
    """

    root: str | None = setting(REQUIRED, "the folder of pictures, or a zip file of one")
    resolution: int | None = setting(
        None,
        "side in pixels that every picture is resized and cut to; null: what an encoder was "
        "trained on, else that of a tile, else 64",
    )
    channels: int | None = setting(
        None,
        "1 grey, 3 colour; null: 1 if every picture is grey, else 3, or as many as the files have",
    )
    max_bad: float = setting(
        0.01,
        "go on while at most this part of the pictures cannot be decoded",
        changes_results=False,
    )
    cache: Cache = setting(
        Cache.auto,
        "where decoded pictures are kept: memory; disk (decoded once for all runs, in "
        "~/.cache/sslcli); none (decoded for "
        "every batch); auto: memory for folders that are decoded in seconds, else disk",
        changes_results=False,
    )
    workers: int | None = setting(
        None,
        "threads that decode, or, of thousands of small pictures, processes; null: one a core",
        changes_results=False,
    )

    duplicates: Duplicates = setting(Duplicates.warn, MEANING, added_later=True)
    groups: str | None = setting(
        None,
        "pictures of one group (a patient) stay on one side of every split: the number of a folder "
        "level (1: the first below data.root, in each part), or a regular expression whose first "
        "brackets hold the group, searched for in the path below data.root; null: none",
        added_later=True,
    )
    depth: int | None = setting(
        None,
        "bits that are kept of a channel, 8 or 16; null: as many as the files have",
        added_later=True,
        before=8,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.channels in (None, 1, 3),
            "data.channels",
            self.channels,
            "1, 3 or null",
            "leave it out",
        )
        fix = "leave it out"
        require(self.depth in (None, 8, 16), "data.depth", self.depth, "8, 16 or null", fix)
        bad = self.max_bad
        require(
            0 <= bad < 1,
            "data.max_bad",
            bad,
            "at least 0 and below 1",
            "try 0.01, or 0 to allow none",
        )
        workers = self.workers
        require(workers is None or workers > 0, "data.workers", workers, "positive", "leave it out")

    def for_encoder(self, resolution: int, channels: int) -> Self:
        fitted = super().for_encoder(resolution, channels)
        is_left_open = fitted.channels is None and channels in (1, 3)
        return replace(fitted, channels=channels) if is_left_open else fitted

    def load(self, track: Track = untracked) -> Splits:
        """Loads as `DataConfig.load`.

        `limit` comes before decoding: a bad picture among those is one fewer.
        """
        listing, stored = self.cut_files(track)
        chosen = self.divided(stored)
        files = {
            "train": chosen.train,
            "val": chosen.val,
            "test": chosen.test,
            "unlabelled": chosen.unlabelled,
        }
        rows = np.concatenate([part.rows for part in files.values() if part is not None])
        depth, said = self._depth(listing, stored)
        decoded = self._decode(listing, rows, depth, track)
        bad = [
            f"{printable(listing.names[rows[i]])}: {reason}"
            for i, reason in sorted(decoded.bad.items())
        ]
        refuse_too_many(bad, len(rows), self.max_bad)
        aspects = self.aspects(listing, rows, self.workers, track)
        sets = split_decoded(listing, files, decoded, aspects)
        assert sets["train"] is not None
        assert sets["val"] is not None
        splits = Splits(
            sets["train"],
            sets["val"],
            sets["test"],
            chosen.classes,
            sets["unlabelled"],
            warnings=(*chosen.warnings, *bad_picture_warnings(bad), *self._grey_warnings(decoded)),
            no_labels=chosen.no_labels,
            target_names=chosen.target_names,
        )
        kind = np.dtype("uint8" if depth is None else depth.kind)
        meant = self.with_meaning(splits, used_range(kind, self.chosen_range()), said)
        return handle_duplicates(meant, self.duplicates)

    def few(self, num: int, track: Track = untracked) -> ImageSet:
        """Returns as `DataConfig.few`; decodes these alone."""
        listing, stored = self.cut_files(track)
        train = self.divided(stored).train
        some = train.subset(evenly_spaced(len(train), num))
        in_memory = replace(self, cache=Cache.memory)
        depth, _ = self._depth(listing, stored)
        decoded = in_memory._decode(listing, some.rows, depth, track)
        aspects = self.aspects(listing, some.rows, self.workers, track)
        found = split_decoded(listing, {"train": some}, decoded, aspects)["train"]
        assert found is not None
        return found

    def picture_folder(self) -> Path | None:
        return None if self._is_zip() else self.location()

    def _is_zip(self) -> bool:
        return self.location().suffix.lower() == ".zip" and self.location().is_file()

    def list_files(self, track: Track = untracked) -> tuple[Listing, StoredParts[PictureFiles]]:
        """Returns the files, and the parts that they belong to; opens none."""
        root = self.location()
        listing, stored = scan_zip(root) if self._is_zip() else scan(root)
        return listing, stored if self.groups is None else with_groups(stored, listing, self.groups)

    def cut_files(self, track: Track) -> tuple[Listing, StoredParts[PictureFiles]]:
        """Returns the files as `list_files`, or their tiles where they are to be cut."""
        if self.tile is not None and self.cache is Cache.none:
            message = "data.cache=none would decode a whole picture for every tile of a batch"
            raise SslcliError(message, "leave it out, or data.cache=disk")
        listing, stored = self.list_files(track)
        return self.cut(listing, stored, self.chosen_range(), self.workers, track)

    def _depth(
        self, listing: Listing, stored: StoredParts[PictureFiles]
    ) -> tuple[Depth | None, list[str]]:
        """Returns as `depth_of`, of all files: neither a limit nor a split's seed decides."""
        from sslcli.data.decode import depth_of

        parts = (stored.train, stored.val, stored.test, stored.unlabelled)
        rows = np.concatenate([part.rows for part in parts if part is not None])
        return depth_of(listing, rows, self.channels, self.chosen_range(), self.depth)

    def _decode(
        self, listing: Listing, rows: NDArray[np.int64], depth: Depth | None, track: Track
    ) -> Decoded:
        from sslcli.data.disk import decode_to_disk
        from sslcli.data.pixel_storage import decode_on_demand, decode_to_memory

        options = self.decoding(depth)
        place = {
            Cache.memory: decode_to_memory,
            Cache.disk: decode_to_disk,
            Cache.none: decode_on_demand,
        }
        chosen = self.cache_chosen(listing, rows, options, size())
        return place[chosen](listing, rows, options, track)

    def decoding(self, depth: Depth | None = None) -> DecodeOptions:
        """Says how pictures are decoded; `depth` None: to 8 bits."""
        from sslcli.data.decode import DecodeOptions
        from sslcli.data.resize import Framing

        side = self.resolution or self.tile or DEFAULT_RESOLUTION
        cuts = self.depth is not None
        framing = Framing(self.shape, self.fill)
        return DecodeOptions(side, self.channels, self.workers, depth, cuts, framing)

    def cache_chosen(
        self, listing: Listing, rows: NDArray[np.int64], options: DecodeOptions, processes: int
    ) -> Cache:
        """Returns `cache`, or what `auto` is for these rows and so many processes."""
        if self.cache is not Cache.auto:
            return self.cache
        alone = processes == 1 and is_quick_and_small(listing, rows, options)
        return Cache.memory if alone else Cache.disk

    def _grey_warnings(self, decoded: Decoded) -> list[str]:
        """Warns of lost colours: those that differ by hue alone become the same grey."""
        from sslcli.data.decode import num_coloured

        count = num_coloured(decoded.records) if self.channels == 1 else 0
        total = len(decoded.records) - len(decoded.bad)
        said = f"{count} of {total} pictures are in colour, and are made grey (data.channels=1)"
        return [said] if count else []


def is_quick_and_small(listing: Listing, rows: NDArray[np.int64], options: DecodeOptions) -> bool:
    """Tells whether decoding takes seconds only, and the pixels fit well into memory."""
    num_bytes = len(rows) * options.picture_bytes
    quick = len(rows) <= QUICK_FILES and int(listing.sizes[rows].sum()) <= QUICK_BYTES
    return quick and num_bytes <= MEMORY_SHARE * (memory_bytes() or 0)
