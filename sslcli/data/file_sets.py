"""Finds the files that a pattern names, and the parts of the data that they hold."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sslcli.data.parts import ORDER, PARTS, is_ignored
from sslcli.errors import SslcliError
from sslcli.text import hydra_word, printable

BETWEEN = "::"
"""Stands between patterns, as in WebDataset's names of shards."""
MOST_NAMED = 3


def file_parts(
    root: str, others: Mapping[str, str | None], suffixes: tuple[str, ...]
) -> dict[str, list[str]]:
    """Returns the files of each part, sorted; train comes first.

    `others`: patterns of val and test, where they are given. Else the names of root's files tell:
    train, val or test as a word of the name, or a folder. Where none tells, all are for training.
    Raises SslcliError for a pattern that names nothing, for names of which some tell and others do
    not, for a file in two parts, and where nothing is left for training.
    """
    found = _by_name(root, expanded("data.root", root, suffixes))
    for part, pattern in others.items():
        if pattern is None:
            continue
        if part in found:
            message = f"data.root names {part} files too: {_named(found[part])}"
            raise SslcliError(message, f"leave out data.{part}, or name training files alone")
        found[part] = expanded(f"data.{part}", pattern, suffixes)
    _require_apart(found)
    return {part: found[part] for part in ORDER if part in found}


def expanded(key: str, pattern: str, suffixes: tuple[str, ...]) -> list[str]:
    """Returns the files that a pattern names, sorted as each of its pieces names them.

    A file, a folder of files that end in `suffixes`, a glob, or braces: {0000..0019}, {a,b}.
    """
    names: list[str] = []
    for piece in pattern.split(BETWEEN):
        for name in [piece] if Path(piece).exists() else braces(piece):
            names += _files(key, name, suffixes)
    missing = [name for name in names if not Path(name).is_file()]
    if missing and len(names) == 1:
        what = "is not a file" if Path(missing[0]).exists() else "does not exist"
        message = f"{key} {what}: {missing[0]}"
        raise SslcliError(message, f"{key}=a file, a folder of such files, or a pattern")
    if missing:
        message = f"{key}: {len(missing)} of {len(names)} files are not there: {_named(missing)}"
        raise SslcliError(message, "see to the names; quote braces: 'train-{0000..0019}.tar'")
    twice = [name for name, files in itertools.groupby(sorted(names)) if len(list(files)) > 1]
    if twice:
        raise SslcliError(f"{key} names a file twice: {_named(twice)}", "name each once")
    return names


def braces(pattern: str) -> list[str]:
    """Returns the texts that braces stand for: {0000..0019} or {a,b}, several times too."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    span = re.fullmatch(r"(\d+)\.\.(\d+)", match[1])
    if span:
        low, high = int(span[1]), int(span[2])
        step = 1 if low <= high else -1
        inside = [f"{number:0{len(span[1])}}" for number in range(low, high + step, step)]
    elif "," in match[1]:
        inside = match[1].split(",")
    else:
        return [f"{before}{match[0]}{rest}" for rest in braces(after)]
    return [f"{before}{text}{rest}" for text in inside for rest in braces(after)]


def _files(key: str, name: str, suffixes: tuple[str, ...]) -> list[str]:
    path = Path(name)
    if path.is_dir():
        found = [
            str(file)
            for file in sorted(path.rglob("*"))
            if file.name.lower().endswith(suffixes)
            and not any(map(is_ignored, file.relative_to(path).parts))
        ]
        if not found:
            message = f"{key}: there are no files ending in {' '.join(suffixes)} in {name}"
            raise SslcliError(message, f"{key}=a file, a folder of such files, or a pattern")
        return found
    if path.exists() or not glob.has_magic(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 (the pattern may be absolute)
    if not found:
        message = f"{hydra_word(key, name)} matches no file"
        raise SslcliError(message, "see to the pattern, and quote it: the shell must not expand it")
    return found


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
            f"data.root: {_named([known])} tells its part of the data, and {len(untold)} of "
            f"{len(files)} files do not: {_named(untold)}"
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
            message = f"{_named(sorted(both))} is named for {one} and for {other}"
            raise SslcliError(message, "a file belongs to one part: narrow one of the patterns")


def _named(files: Sequence[str]) -> str:
    more = ", ..." if len(files) > MOST_NAMED else ""
    return f"{', '.join(printable(file) for file in files[:MOST_NAMED])}{more}"
