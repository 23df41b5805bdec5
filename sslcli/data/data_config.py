"""Defines what the configs of all data sets share."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.data.images import ImageSet, Splits, Track, evenly_spaced, untracked
from sslcli.data.soundness import require_parts
from sslcli.data.split import P, StoredParts, divide, hold_out_test
from sslcli.errors import require
from sslcli.files import expanded
from sslcli.settings import REQUIRED, setting

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(kw_only=True)
class DataConfig:
    """Holds the settings that all data sets share.

    `load` gives the pictures, split, all of one size.
    """

    root: str | None = setting(REQUIRED, "where the files are", changes_results=False)
    resolution: int | None = setting(None, "side of the square pictures in pixels; null: as stored")
    limit: int | None = setting(
        None, "use only so many training pictures, spread over the classes; null: all"
    )
    val_fraction: float = setting(
        0.1, "part of the training pictures held out for validation, where the data bring none"
    )
    split_seed: int = setting(
        0, "chooses the pictures that are held out, and those that `limit` keeps"
    )
    test_fraction: float = setting(
        0.0,
        "part of the training pictures held out for the final test, where the data bring none; "
        "no other command must train on them: keep this and split_seed",
        added_later=True,
    )

    def __post_init__(self) -> None:
        # An unset variable of a shell would make it the folder one is in.
        require(self.root != "", "data.root", "", "a path", "data.root=. is this folder")
        size = self.resolution
        require(size is None or size > 0, "data.resolution", size, "positive", "try 32, 64 or 128")
        require(
            self.limit is None or self.limit > 0, "data.limit", self.limit, "positive", "try 1000"
        )
        fraction = self.val_fraction
        require(0 < fraction < 1, "data.val_fraction", fraction, "between 0 and 1", "try 0.1")
        fraction = self.test_fraction
        must_be = "at least 0 and below 1"
        require(0 <= fraction < 1, "data.test_fraction", fraction, must_be, "try 0.2")

    def with_absolute_root(self) -> Self:
        """Returns the config with `root` absolute: it means the same from another folder."""
        return (
            self if self.root is None else replace(self, root=str(expanded(self.root).absolute()))
        )

    def for_encoder(self, resolution: int, channels: int) -> Self:
        """Returns the config with the encoder's values where it leaves them open."""
        return replace(self, resolution=resolution) if self.resolution is None else self

    def load(self, track: Track = untracked) -> Splits:
        """Reads, splits and resizes the pictures; `track` shows how far it is.

        Raises SslcliError where files are missing or are not what they should be.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no load")

    def few(self, num: int, track: Track = untracked) -> ImageSet:
        """Returns up to `num` training pictures, evenly spaced; raises as `load`."""
        pictures = self.load(track).pretraining
        return pictures.subset(evenly_spaced(len(pictures), num))

    def location(self) -> Path:
        """Returns `root`, or the cache where it is left out; `~` is expanded."""
        return cache_folder() if self.root is None else expanded(self.root)

    def is_there(self) -> bool:
        """Tells whether what `root` names is there; where it is left out, it may be fetched."""
        return self.root is None or self.location().exists()

    def picture_folder(self) -> Path | None:
        """Returns the folder below which the pictures' files lie; None where they are no files."""
        return None

    def divided(self, stored: StoredParts[P]) -> StoredParts[P]:
        """Returns `stored` with test, if asked for, and validation held out, and limited.

        Raises SslcliError where a test part is asked for and the data bring one.
        """
        seed, fraction = self.split_seed, self.test_fraction
        if fraction:
            absent = stored.test is None
            must_be = "left out: these data bring a test part"
            require(absent, "data.test_fraction", fraction, must_be, "leave it out")
            stored = hold_out_test(stored, fraction, seed)
        return divide(stored, self.val_fraction, self.limit, seed)

    def split_and_resize(self, stored: StoredParts[ImageSet], track: Track) -> Splits:
        """Returns `stored` with validation held out and every part at `resolution`."""
        from sslcli.data.resize import resize

        require_parts(stored)
        parts = self.divided(stored)
        assert parts.val is not None, "divide holds validation out"
        return Splits(
            train=resize(parts.train, self.resolution, track),
            val=resize(parts.val, self.resolution, track),
            test=parts.test and resize(parts.test, self.resolution, track),
            unlabelled=parts.unlabelled and resize(parts.unlabelled, self.resolution, track),
            classes=parts.classes,
            warnings=parts.warnings,
            no_labels=parts.no_labels,
            target_names=parts.target_names,
        )


def cache_folder() -> Path:
    """Returns the folder of files that can be fetched or made again."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "sslcli"
