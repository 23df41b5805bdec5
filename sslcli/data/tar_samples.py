"""Puts the members of a tar shard together to samples, as WebDataset does.

Members belong together whose names are the same up to the first dot of the last part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.parts import is_ignored
from sslcli.data.scan import SUFFIXES
from sslcli.data.table_file import as_text
from sslcli.data.tar_index import TarIndex, read_at
from sslcli.errors import SslcliError
from sslcli.system import READ_ONLY
from sslcli.text import hydra_word, printable

PICTURES = frozenset(suffix.removeprefix(".") for suffix in SUFFIXES)
LARGEST_TEXT = 2**20
JSON = "json."
"""Stands in a column's name before a key of the samples' .json."""


@dataclass(frozen=True)
class Samples:
    """Holds N samples of a shard: pictures' `names`, `starts` and `sizes` (N,) int64 in the file.

    `columns` by what they mean: texts, "" where a sample has none. `lacking` names samples without
    a picture. `suffixes`: what members' names end in.
    """

    names: list[str]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    columns: dict[str, list[str]]
    lacking: list[str]
    suffixes: frozenset[str]


def samples_of(
    shard: str, index: TarIndex, picture: str | None, columns: Mapping[str, str]
) -> Samples:
    """Returns the samples in the order of the file.

    `picture`: what the pictures' names end in; None: any of SUFFIXES. `columns`: by what they
    mean, the ending of members (cls), or json. and a key. Raises SslcliError for a member that is
    there twice, a sample with two pictures, and a text that cannot be read.
    """
    names = [os.fsdecode(name) for name in index.names]
    members = _by_suffix(shard, names)
    pictures = _pictures(shard, members, picture)
    rows = np.fromiter(pictures.values(), np.int64, len(pictures))
    keys = list(pictures)
    with Texts(shard, index) as texts:
        found = {
            meaning: texts.column(members, name, keys, several=meaning == "labels")
            for meaning, name in columns.items()
        }
    return Samples(
        [names[row].removeprefix("./") for row in rows.tolist()],
        index.starts[rows],
        index.sizes[rows],
        found,
        sorted({key for table in members.values() for key in table} - pictures.keys()),
        frozenset(members),
    )


def _by_suffix(shard: str, names: list[str]) -> dict[str, dict[str, int]]:
    """Returns members' numbers by key, by the ending behind the key, in small letters."""
    members: dict[str, dict[str, int]] = {}
    for number, name in enumerate(names):
        folder, slash, last = name.rpartition("/")
        key, _, suffix = last.partition(".")
        if not key or not suffix or is_ignored(last):
            continue  # hidden, or without an ending: no member of a sample
        if slash:
            folder = "" if folder == "." else folder.removeprefix("./")
            if any(map(is_ignored, folder.split("/"))):
                continue
            key = f"{folder}/{key}" if folder else key
        table = members.setdefault(suffix.lower(), {})
        if key in table:
            message = f"{shard} has the sample {printable(key)} twice, each with .{suffix}"
            raise SslcliError(message, "pack it again, with another key for each sample")
        table[key] = number
    return members


def _pictures(
    shard: str, members: Mapping[str, Mapping[str, int]], picture: str | None
) -> dict[str, int]:
    """Returns the number of each sample's picture by key, in the order of the file."""
    wanted = PICTURES if picture is None else set(picture.lower().split("|"))
    tables = {suffix: members[suffix] for suffix in sorted(wanted & members.keys())}
    found: dict[str, tuple[int, str]] = {}
    for suffix, table in tables.items():
        for key, number in table.items():
            if key in found:
                message = (
                    f"the sample {printable(key)} of {shard} has two pictures, "
                    f".{found[key][1]} and .{suffix}"
                )
                raise SslcliError(message, f"choose one: {hydra_word('data.picture', suffix)}")
            found[key] = number, suffix
    if not found and members:
        raise _no_pictures(shard, members, picture)
    in_order = sorted((number, key) for key, (number, _) in found.items())
    return {key: number for number, key in in_order}


def _no_pictures(
    shard: str, members: Mapping[str, Mapping[str, int]], picture: str | None
) -> SslcliError:
    endings = " ".join(f".{suffix}" for suffix in sorted(members)[:10])
    likely = [suffix for suffix in sorted(members) if suffix.rpartition(".")[2] in PICTURES]
    what = "pictures" if picture is None else f"members ending in .{picture}"
    message = f"{shard} has no {what}: its members end in {endings}"
    fix = hydra_word("data.picture", likely[0]) if likely else "data.picture=… names the ending"
    return SslcliError(message, fix)


class Texts:
    """Reads texts of samples from a shard, which is opened where the index does not hold them."""

    def __init__(self, shard: str, index: TarIndex) -> None:
        self._shard = shard
        self._index = index
        self._number: int | None = None

    def __enter__(self) -> Texts:
        return self

    def __exit__(self, *reason: object) -> None:
        if self._number is not None:
            os.close(self._number)

    def column(
        self,
        members: Mapping[str, Mapping[str, int]],
        name: str,
        keys: list[str],
        *,
        several: bool,
    ) -> list[str]:
        """Returns the texts of the samples `keys`, "" where there is no such member.

        Raises SslcliError for a member that is no UTF-8 or JSON, or lacks the key.
        """
        before, is_json, json_key = name.rpartition(JSON)
        suffix = f"{before}json" if is_json else name
        table = members.get(suffix.lower(), {})
        texts = []
        for key in keys:
            row = table.get(key)
            if row is None:
                texts.append("")
                continue
            place = f"{key}.{suffix} in {self._shard}"
            text = self._text(row, place)
            if is_json:
                text = as_text(_json_value(text, json_key, place), place, several)
            texts.append(text.strip())
        return texts

    def _text(self, row: int, place: str) -> str:
        data = self._index.labels.get(row)
        if data is None:
            size = int(self._index.sizes[row])
            if size > LARGEST_TEXT:
                message = f"{place} has {size:,} bytes, and is to be read as a text"
                raise SslcliError(message, "name another ending, or a key: json.KEY")
            if self._number is None:
                self._number = os.open(self._shard, READ_ONLY)
            data = read_at(self._number, size, int(self._index.starts[row]))
        try:
            return data.decode()
        except UnicodeDecodeError as reason:
            message = f"{place} is no UTF-8: {reason.reason} at byte {reason.start}"
            raise SslcliError(message, "name an ending whose members are texts") from reason


def _json_value(text: str, key: str, place: str) -> Any:
    """Returns the value of `key`, which may have dots between keys inside one another."""
    try:
        value: Any = json.loads(text)
    except ValueError as reason:
        raise SslcliError(f"{place} is no JSON: {reason}", "mend it") from reason
    if isinstance(value, dict) and key in value:
        return value[key]
    for inner in key.split("."):
        if not isinstance(value, dict) or inner not in value:
            there = ", ".join(map(printable, value)) if isinstance(value, dict) else "no keys"
            message = f"{place} lacks {inner!r}: it has {there[:100]}"
            raise SslcliError(message, "give every sample the key, with null where unknown")
        value = value[inner]
    return value
