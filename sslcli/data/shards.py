"""Loads pictures from tar shards, as WebDataset writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.remote import Copies, is_remote
from sslcli.data.data_config import cache_folder
from sslcli.data.folder import Cache
from sslcli.data.images import Track, untracked
from sslcli.data.packed_config import PackedConfig, PackedListing, names_below
from sslcli.data.scan import Listing, PictureFiles
from sslcli.data.shard_cache import read_shards
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError, require, unknown
from sslcli.settings import REQUIRED, setting
from sslcli.text import printable, shell_path

if TYPE_CHECKING:
    from sslcli.archives.file_bytes import Archives
    from sslcli.data.tar_samples import Samples

SUFFIX = ".tar"
COMPRESSED = {
    ".tar.gz": "gunzip", ".tgz": "gunzip", ".tar.bz2": "bunzip2", ".tar.xz": "unxz",
    ".tar.zst": "unzstd", ".tar.lz4": "unlz4",
}  # fmt: skip
"""Endings of compressed shards, and what unpacks them: in the middle of one nothing can be read."""
CLASS = "cls"
MAX_NAMED = 3


@dataclass(frozen=True)
class ShardListing(PackedListing):
    """Lists N pictures in tar files: where each `starts` in its file, (N,) int64."""

    archives: Archives
    starts: NDArray[np.int64]

    def read(self, row: int) -> bytes:
        return self.archives.read(int(self.file[row]), int(self.starts[row]), int(self.sizes[row]))


@dataclass(kw_only=True)
class ShardsConfig(PackedConfig):
    """Reads pictures in tar files (shards), as WebDataset writes them; nothing is unpacked.

    Members whose names are the same up to the first dot are a sample: a picture, and what is known
    of it, in .cls (a class) or .json. What lies where is found once. Shards may be remote: URLs
    that fsspec knows. Pictures are decoded as those of data=folder are.
    """

    root: str | None = setting(
        REQUIRED,
        "the shards: a .tar file, a folder of them, a glob, or braces: train-{0000..0019}.tar; "
        "where the names say train, val or test, these are the parts",
    )
    picture: str | None = setting(
        None, "what the pictures' names end in (jpg), where samples have several; null: any picture"
    )
    label: str | None = setting(
        None,
        "the class: the ending of the members that hold it (cls), or json.KEY; "
        "null: cls where there is any, else no labels",
    )
    labels: str | None = setting(
        None, "several classes a picture, as label: a list, or with | between them"
    )
    target: str | None = setting(None, "a number, as label")
    groups: str | None = setting(
        None,
        "the group (a patient), which stays on one side of every split, as label; or a regular "
        "expression whose first brackets hold it in SHARD/NAME; null: none",
    )

    shard_cache: float = setting(
        20.0,
        "GB of remote shards that are kept on this machine, in ~/.cache/sslcli",
        changes_results=False,
    )

    suffixes = (SUFFIX, *COMPRESSED)

    def list_files(self, track: Track = untracked) -> tuple[Listing, StoredParts[PictureFiles]]:
        files = self.files()
        shards = [shard for of_part in files.values() for shard in of_part]
        columns = {meaning: name for meaning, name in self._columns().items() if name is not None}
        copies = Copies(cache_folder() / "remote", int(self.shard_cache * 1e9))
        archives, samples = read_shards(shards, self.picture, columns, copies, self.workers, track)
        self._require_room(archives)
        listing = self._listing(archives, samples)
        texts = {
            meaning: [text for found in samples for text in found.columns[meaning]]
            for meaning in columns
        }
        self._require_found(texts, samples)
        counts = [len(found.names) for found in samples]
        stored = self.parts_of_files(listing, files, counts, texts, columns)
        lacking = self._lacking_warnings(shards, samples)
        stored = replace(stored, warnings=(*stored.warnings, *lacking))
        has_json = any("json" in found.suffixes for found in samples)
        if texts.keys() - {"group"} or not has_json:
            return listing, stored
        reason = "the samples have .json and no .cls, and data.label=json.KEY names no key"
        return listing, replace(stored, no_labels=reason)

    def files(self) -> dict[str, list[str]]:
        found = super().files()
        for shard in (shard for of_part in found.values() for shard in of_part):
            for ending, program in COMPRESSED.items():
                if shard.lower().endswith(ending):
                    fix = f"{program} {shell_path(shard)}; pictures are compressed already"
                    raise SslcliError(f"{shard} is compressed, and cannot be read at random", fix)
        return found

    def __post_init__(self) -> None:
        super().__post_init__()
        most = self.shard_cache
        require(most > 0, "data.shard_cache", most, "positive", "try 20")

    def _columns(self) -> dict[str, str | None]:
        kinds = self.kinds()
        if not any(kinds.values()):
            kinds = {"label": CLASS}
        return {**kinds, **self.group_column()}

    def _require_found(self, texts: dict[str, list[str]], samples: Sequence[Samples]) -> None:
        """Raises SslcliError for a typed column of which no sample has anything.

        A column that is not typed leaves `texts` then.
        """
        for meaning, column in [*texts.items()]:
            if any(column):
                continue
            key = {"group": "groups"}.get(meaning, meaning)
            typed = getattr(self, key)
            if typed is not None:
                there = sorted(set[str]().union(*(found.suffixes for found in samples)))
                raise unknown(f"members of the samples for data.{key}:", typed, there)
            del texts[meaning]

    def _lacking_warnings(self, shards: list[str], samples: Sequence[Samples]) -> list[str]:
        """Warns of samples without pictures; raises SslcliError for more than `max_bad` of them."""
        named = [
            f"{printable(key)} in {shard}"
            for shard, found in zip(shards, samples, strict=True)
            for key in found.lacking[:MAX_NAMED]
        ]
        lacking = sum(len(found.lacking) for found in samples)
        total = lacking + sum(len(found.names) for found in samples)
        more = ", ..." if lacking > MAX_NAMED else ""
        said = f"{lacking} of {total} samples have no picture: {', '.join(named[:MAX_NAMED])}{more}"
        if lacking > self.max_bad * total:
            message = f"{said}; data.max_bad={self.max_bad} allows fewer"
            raise SslcliError(message, "data.picture=… names the pictures' ending (input.jpg)")
        return [said] if lacking else []

    def _listing(self, archives: Archives, samples: Sequence[Samples]) -> ShardListing:
        """Joins the shards' samples; names begin with the shard's, below the folder of all."""
        root, names = names_below(archives.paths, [found.names for found in samples])
        counts = [len(found.names) for found in samples]
        return ShardListing(
            root=root,
            names=tuple(names),
            sizes=np.concatenate([found.sizes for found in samples]),
            changed=np.repeat(np.array([state.changed for state in archives.states]), counts),
            archives=archives,
            file=np.repeat(np.arange(len(samples)), counts),
            starts=np.concatenate([found.starts for found in samples]),
            pattern=self.pattern(),
            mixed=self.mixed,
        )

    def _require_room(self, archives: Archives) -> None:
        """Raises SslcliError where shards would be copied to this machine again and again."""
        if self.cache is not Cache.none or not is_remote(archives.paths[0]):
            return
        sizes, most = [state.size for state in archives.states], self.shard_cache * 1e9
        needed = sum(sizes) if self.mixed is None else (self.mixed + 1) * max(sizes)
        if min(needed, sum(sizes)) > most:
            at_once = max(1, int(most / max(sizes)) - 1)
            message = (
                f"{min(needed, sum(sizes)) / 1e9:.2f} GB of remote shards are needed at once, and "
                f"data.shard_cache={self.shard_cache} GB of them are kept here"
            )
            fix = (
                f"data.mixed={at_once} goes through the shards in blocks; data.cache=disk reads "
                "each once, and keeps the pixels"
            )
            raise SslcliError(message, fix)
