"""Puts the members of a tar shard together to samples, as WebDataset does.

Members belong together whose names are the same up to the first dot of the last part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.tar_index import TarIndex, read_at
from sslcli.data.parts import is_ignored
from sslcli.data.picture_names import SUFFIXES
from sslcli.data.table_file import as_text
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
    shard: str,
    index: TarIndex,
    picture: str | None,
    columns: Mapping[str, str],
    place: Callable[[], Path],
) -> Samples:
    """Returns the samples in the order of the file.

    `picture`: what the pictures' names end in; None: any of SUFFIXES. `columns`: by what they
    mean, the ending of members (cls), or json. and a key; texts that the index lacks are read at
    `place`, and added to it. Raises SslcliError for a member that is
    there twice, a sample with two pictures, and a text that cannot be read.
    """
    names = index.names
    members = _by_suffix(shard, names, has_folders=b"/" in index.text)
    pictures = _pictures(shard, members, picture)
    rows = np.fromiter(pictures.values(), np.int64, len(pictures))
    keys = list(pictures)
    with Texts(shard, index, place) as texts:
        found = {
            meaning: texts.column(members, name, keys, several=meaning == "labels")
            for meaning, name in columns.items()
        }
    return Samples(
        [names[row].removeprefix("./") for row in rows.tolist()],
        index.starts[rows],
        index.sizes[rows],
        found,
        _lacking(members, pictures),
        frozenset(members),
    )


def _by_suffix(shard: str, names: list[str], *, has_folders: bool) -> dict[str, dict[str, int]]:
    """Returns members' numbers by key, by the ending behind the key, in small letters.

    Hidden members, and those without an ending, are left out.
    """
    members: dict[str, dict[str, int]] = {}
    spelt: dict[str, dict[str, int]] = {}  # the same, by endings as they are written
    for number, name in enumerate(names):
        key, _, suffix = _split(name) if has_folders else name.partition(".")
        table = spelt.get(suffix)
        if table is None:
            table = spelt[suffix] = members.setdefault(suffix.lower(), {})
        if key and suffix and table.setdefault(key, number) != number:
            message = f"{shard} has the sample {printable(key)} twice, each with .{suffix}"
            raise SslcliError(message, "pack it again, with another key for each sample")
    return {suffix: table for suffix, table in members.items() if table}


def _split(name: str) -> tuple[str, str, str]:
    """Returns the key with its folders, the dot and the ending; "" as key in a hidden folder."""
    folder, slash, last = name.rpartition("/")
    key, dot, suffix = last.partition(".")
    folder = "" if folder == "." else folder.removeprefix("./")
    if not folder or not key:
        return key, dot, suffix
    return "" if any(map(is_ignored, folder.split("/"))) else folder + slash + key, dot, suffix


def _lacking(members: Mapping[str, Mapping[str, int]], pictures: Mapping[str, int]) -> list[str]:
    """Returns the samples without pictures; what systems leave behind is none."""
    lacking = set[str]()
    for suffix, table in members.items():
        for key in table.keys() - pictures.keys():
            if not is_ignored(f"{key.rpartition('/')[2]}.{suffix}"):
                lacking.add(key)
    return sorted(lacking)


def _pictures(
    shard: str, members: Mapping[str, Mapping[str, int]], picture: str | None
) -> dict[str, int]:
    """Returns the number of each sample's picture by key, in the order of the file."""
    wanted = PICTURES if picture is None else set(picture.lower().split("|"))
    tables = {suffix: members[suffix] for suffix in sorted(wanted & members.keys())}
    if len(tables) == 1:  # as a rule; it is in the order of the file
        return dict(*tables.values())
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

    def __init__(self, shard: str, index: TarIndex, place: Callable[[], Path]) -> None:
        self._shard = shard
        self._place = place
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
        labels = self._index.labels
        read: dict[bytes, str] = {}  # of classes there are few
        texts = []
        for key in keys:
            row = table.get(key)
            data = b"" if row is None else labels.get(row)
            text = None if data is None else read.get(data)
            if text is None:
                place = f"{key}.{suffix} in {self._shard}"
                text = "" if row is None else self._text(row, place)
                if is_json and row is not None:
                    text = as_text(_json_value(text, json_key, place), place, several)
                text = text.strip()
                if data is not None:
                    read[data] = text
            texts.append(text)
        return texts

    def _text(self, row: int, place: str) -> str:
        data = self._index.labels.get(row)
        if data is None:
            size = int(self._index.sizes[row])
            if size > LARGEST_TEXT:
                message = f"{place} has {size:,} bytes, and is to be read as a text"
                raise SslcliError(message, "name another ending, or a key: json.KEY")
            if self._number is None:
                self._number = os.open(self._place(), READ_ONLY)
            data = read_at(self._number, size, int(self._index.starts[row]))
            self._index.labels[row] = data
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
