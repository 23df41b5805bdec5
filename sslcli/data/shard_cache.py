"""Keeps what was found to lie where in tar shards, between runs."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from sslcli.archives.file_bytes import Archives, FileState
from sslcli.archives.remote import Copies, RemoteArchives, is_remote, remote_state
from sslcli.archives.tar_index import TarIndex, index_tar
from sslcli.data.data_config import cache_folder
from sslcli.data.images import Track
from sslcli.data.pixel_cache import STABLE_AFTER
from sslcli.data.tar_samples import Samples, samples_of
from sslcli.errors import SslcliError
from sslcli.files import replacing
from sslcli.threads import map_in_threads

VERSION = 1
"""Of the index files: another is not read."""
NUMBER, HEADER = "<i8", 11
"""The type of the numbers in an index; how many come first: version, state, checksum, lengths."""


def read_shards(
    shards: list[str],
    picture: str | None,
    columns: Mapping[str, str],
    copies: Copies,
    workers: int | None,
    track: Track,
) -> tuple[Archives, list[Samples]]:
    """Returns the shards and their samples, as `samples_of` does.

    `copies` of those that are remote. Raises SslcliError for a shard that cannot be read, is
    damaged, compressed or empty.
    """
    away = is_remote(shards[0])
    look = remote_state if away else FileState.of
    states: list[FileState] = []

    def read(number: int) -> Samples:
        shard, state = shards[number], states[number]

        def place() -> Path:
            return copies.path(shard, state) if away else Path(shard)

        return _samples(shard, state, place, picture, columns)

    try:
        looks = map_in_threads(lambda number: look(shards[number]), len(shards), workers)
        states += track(looks, total=len(shards), label="looking for the shards")
        each = map_in_threads(read, len(shards), workers)
        samples = [*track(each, total=len(shards), label="finding what lies in the shards")]
    except OSError as reason:
        message = f"{reason.filename or 'a shard'} cannot be read: {reason.strerror or reason}"
        raise SslcliError(message, "see to the file and its permissions") from reason
    if away:
        return RemoteArchives(shards, states, copies), samples
    return Archives(shards, states), samples


def _samples(
    shard: str,
    state: FileState,
    place: Callable[[], Path],
    picture: str | None,
    columns: Mapping[str, str],
) -> Samples:
    """Returns the shard's samples: by the kept index, if it is of this state, else by a new one.

    `place` is where the shard can be read. Texts that were read of it are kept with the index.
    """
    path = index_file(shard)
    index, is_new = _read_kept(path, state), False
    if index is None:
        index, is_new = index_tar(place(), shard), True
        if not is_remote(shard) and FileState.of(shard) != state:
            raise SslcliError(f"{shard} changed while it was read", "wait until it is whole")
    num_texts = len(index.labels)
    found = samples_of(shard, index, picture, columns, place)
    if not found.names:
        raise SslcliError(f"{shard} holds no samples", "leave it out, or pack it again")
    if is_new or len(index.labels) > num_texts:
        _keep(path, state, index)
    return found


def index_file(shard: str) -> Path:
    """Returns where the index of a shard is kept."""
    whole = shard if is_remote(shard) else str(Path(shard).resolve())
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:16]
    # The digest first: files are written beside themselves under the begin of their name.
    return cache_folder() / "shards" / f"{digest}-{whole.rpartition('/')[2][:60]}.index"


def _keep(path: Path, state: FileState, index: TarIndex) -> None:
    """Writes the index, if the shard did not just change; without room it is made again."""
    if state.changed >= time.time_ns() - STABLE_AFTER:
        return
    texts = [*index.labels.values()]
    numbers = (index.starts, index.sizes, [*index.labels], [len(text) for text in texts])
    arrays = [np.array(column, dtype=NUMBER).tobytes() for column in numbers]
    pieces = [*arrays, b"".join(texts), index.text]
    body = b"".join(pieces)
    header = [VERSION, *state, zlib.crc32(body), *map(len, pieces)]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=False) as temporary:
            temporary.write_bytes(np.array(header, dtype=NUMBER).tobytes() + body)


def _read_kept(path: Path, state: FileState) -> TarIndex | None:
    """Returns the index at `path`; None where there is none, or of another state, or damaged.

    It is no .npz file: of these, threads of Python 3.11 cannot read the headers at once.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) < HEADER * 8:
        return None
    version, *kept_as, checksum = np.frombuffer(content, NUMBER, 5).tolist()
    lengths = np.frombuffer(content, NUMBER, HEADER - 5, 5 * 8).tolist()
    body = memoryview(content)[HEADER * 8 :]
    if (version, *kept_as) != (VERSION, *state) or zlib.crc32(body) != checksum:
        return None
    ends = np.cumsum(lengths).tolist()
    pieces = [body[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    starts, sizes, labelled, counts = (np.frombuffer(piece, NUMBER) for piece in pieces[:4])
    texts, after = bytes(pieces[4]), np.cumsum(counts)
    labels = {
        number: texts[start:end]
        for number, start, end in zip(
            labelled.tolist(), (after - counts).tolist(), after.tolist(), strict=True
        )
    }
    return TarIndex(bytes(pieces[5]), starts, sizes, labels)
