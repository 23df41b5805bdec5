"""Keeps what was found to lie where in tar shards, between runs."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from sslcli.data.data_config import cache_folder
from sslcli.data.file_bytes import Archives, FileState
from sslcli.data.images import Track
from sslcli.data.pixel_cache import STABLE_AFTER, UNREADABLE
from sslcli.data.resize import map_in_threads
from sslcli.data.tar_index import TarIndex, index_tar
from sslcli.data.tar_samples import Samples, samples_of
from sslcli.errors import SslcliError
from sslcli.files import replacing

VERSION = 1
"""Of the index files: another is not read."""


def read_shards(
    shards: list[str],
    picture: str | None,
    columns: Mapping[str, str],
    workers: int | None,
    track: Track,
) -> tuple[Archives, list[Samples]]:
    """Returns the shards and their samples, as `samples_of` does.

    Raises SslcliError for a shard that cannot be read, is damaged, compressed or empty.
    """
    states: list[FileState] = []

    def read(number: int) -> Samples:
        shard = shards[number]
        found = samples_of(shard, _index(shard, states[number]), picture, columns)
        if not found.names:
            raise SslcliError(f"{shard} holds no samples", "leave it out, or pack it again")
        return found

    try:
        states += [FileState.of(shard) for shard in shards]
        each = map_in_threads(read, len(shards), workers)
        samples = [*track(each, total=len(shards), label="finding what lies in the shards")]
    except OSError as reason:
        message = f"{reason.filename or 'a shard'} cannot be read: {reason.strerror}"
        raise SslcliError(message, "see to the file and its permissions") from reason
    return Archives(shards, states), samples


def _index(shard: str, state: FileState) -> TarIndex:
    """Returns the shard's index: the kept one, if it is of this state, else a new one."""
    path = index_file(shard)
    kept = _read_kept(path, state)
    if kept is not None:
        return kept
    index = index_tar(Path(shard))
    if FileState.of(shard) != state:
        raise SslcliError(f"{shard} changed while it was read", "wait until it is whole")
    if state.changed < time.time_ns() - STABLE_AFTER:
        with suppress(OSError):  # then it is found again the next time
            path.parent.mkdir(parents=True, exist_ok=True)
            _keep(path, state, index)
    return index


def index_file(shard: str) -> Path:
    """Returns where the index of a shard is kept."""
    whole = Path(shard).resolve()
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:16]
    return cache_folder() / "shards" / f"{whole.name[:60]}-{digest}.npz"


def _keep(path: Path, state: FileState, index: TarIndex) -> None:
    texts = [*index.labels.values()]
    with replacing(path, durable=False) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            state=np.array([VERSION, *state]),
            names=np.frombuffer(b"\0".join(index.names), np.uint8),
            starts=index.starts,
            sizes=index.sizes,
            labelled=np.array([*index.labels], dtype=np.int64),
            lengths=np.array([len(text) for text in texts], dtype=np.int64),
            labels=np.frombuffer(b"".join(texts), np.uint8),
        )


def _read_kept(path: Path, state: FileState) -> TarIndex | None:
    """Returns the index at `path`; None where there is none, or of another state."""
    with (
        suppress(*UNREADABLE, KeyError, zipfile.BadZipFile),
        path.open("rb") as file,
        np.load(file) as kept,
    ):
        if kept["state"].tolist() != [VERSION, *state]:
            return None
        text = kept["labels"].tobytes()
        ends = np.cumsum(kept["lengths"]).tolist()
        labels = {
            number: text[start:end]
            for number, start, end in zip(
                kept["labelled"].tolist(), [0, *ends[:-1]], ends, strict=True
            )
        }
        names = kept["names"].tobytes()
        return TarIndex(names.split(b"\0") if names else [], kept["starts"], kept["sizes"], labels)
    return None
