"""Finds the parts of the data that files hold, by their names."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path

from sslcli.archives.patterns import expanded, named_files
from sslcli.archives.remote import is_remote
from sslcli.data.parts import ORDER, PARTS
from sslcli.errors import SslcliError
from sslcli.text import printable


def file_parts(
    root: str, others: Mapping[str, str | None], suffixes: tuple[str, ...]
) -> dict[str, list[str]]:
    """Returns the files of each part, sorted; train comes first.

    `others`: patterns of val and test, where they are given. Else the names of root's files tell:
    train, val or test as a word of the name, or a folder. Where none tells, all are for training.
    Raises SslcliError for a pattern that names nothing, for names of which some tell and others do
    not, for a file in two parts, and where nothing is left for training.
    """
    named = {"root": root, **others}
    files = {
        key: expanded(f"data.{key}", pattern, suffixes)
        for key, pattern in named.items()
        if pattern is not None
    }
    _require_one_kind([file for of_key in files.values() for file in of_key])
    found = _by_name(root, files.pop("root"))
    for part, of_part in files.items():
        if part in found:
            message = f"data.root names {part} files too: {named_files(found[part])}"
            raise SslcliError(message, f"leave out data.{part}, or name training files alone")
        found[part] = of_part
    _require_apart(found)
    return {part: found[part] for part in ORDER if part in found}


def _require_one_kind(files: list[str]) -> None:
    away = [file for file in files if is_remote(file)]
    here = [file for file in files if not is_remote(file)]
    if away and here:
        message = f"{away[0]} is remote, and {here[0]} is not"
        raise SslcliError(message, f"name files of one kind; file://{here[0]} counts as remote")


def _by_name(pattern: str, files: list[str]) -> dict[str, list[str]]:
    """Returns the files by the part that their names tell; all are training's where none does."""
    top = os.path.commonpath([str(Path(file).parent) for file in files])
    told = {file: part_of(os.path.relpath(file, top)) for file in files}
    if not any(told.values()):
        return {"train": files}
    untold = [file for file, part in told.items() if part is None]
    if untold:
        known = next(file for file, part in told.items() if part is not None)
        message = (
            f"data.root: {named_files([known])} tells its part of the data, and {len(untold)} of "
            f"{len(files)} files do not: {named_files(untold)}"
        )
        raise SslcliError(message, "name training files alone, and others by data.val, data.test")
    found: dict[str, list[str]] = {}
    for file, part in told.items():
        found.setdefault(str(part), []).append(file)
    if "train" not in found:
        message = f"data.root has {' and '.join(found)} files, and none of training: {pattern}"
        raise SslcliError(message, "data.root names training files; data.val and data.test others")
    return found


def part_of(name: str) -> str | None:
    """Returns train, val or test, where that is a word of the name or its folders; else None.

    Raises SslcliError for a name with two of them.
    """
    words = re.findall(r"[^\W\d_]+", str(Path(name).with_suffix("")).lower())
    parts = {PARTS[word] for word in words if word in PARTS}
    if len(parts) > 1:
        message = f"{printable(name)} tells of two parts of the data, {' and '.join(sorted(parts))}"
        raise SslcliError(message, "rename it: one of train, val and test")
    return parts.pop() if parts else None


def _require_apart(found: dict[str, list[str]]) -> None:
    for one, other in itertools.combinations(found, 2):
        both = {os.path.realpath(file) for file in found[one]}
        both &= {os.path.realpath(file) for file in found[other]}
        if both:
            message = f"{named_files(sorted(both))} is named for {one} and for {other}"
            raise SslcliError(message, "a file belongs to one part: narrow one of the patterns")
