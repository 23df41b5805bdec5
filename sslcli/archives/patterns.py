"""Finds the files that a pattern names, here or away."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sslcli.archives.remote import is_remote, remote_glob
from sslcli.errors import SslcliError
from sslcli.text import hydra_word, printable

BETWEEN = "::"
"""Stands between patterns, as in WebDataset's names of shards."""
MOST_NAMED = 3


def expanded(key: str, pattern: str, suffixes: tuple[str, ...]) -> list[str]:
    """Returns the files that a pattern names, sorted as each of its pieces names them.

    A file, a folder of files that end in `suffixes`, a glob, or braces: {0000..0019}, {a,b}.
    """
    names: list[str] = []
    for typed in pattern.split(BETWEEN):
        piece = typed if is_remote(typed) else str(Path(typed).expanduser())
        for name in [piece] if Path(piece).exists() else braces(piece):
            names += _files(key, name, suffixes)
    missing = [name for name in names if not is_remote(name) and not Path(name).is_file()]
    if missing and len(names) == 1:
        what = "is not a file" if Path(missing[0]).exists() else "does not exist"
        message = f"{key} {what}: {missing[0]}"
        raise SslcliError(message, f"{key}=a file, a folder of such files, or a pattern")
    if missing:
        message = (
            f"{key}: {len(missing)} of {len(names)} files are not there: {named_files(missing)}"
        )
        raise SslcliError(message, "see to the names; quote braces: 'train-{0000..0019}.tar'")
    twice = [name for name, files in itertools.groupby(sorted(names)) if len(list(files)) > 1]
    if twice:
        raise SslcliError(f"{key} names a file twice: {named_files(twice)}", "name each once")
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
    if is_remote(name):
        found = remote_glob(name) if glob.has_magic(name) else [name]
        if not found:
            raise SslcliError(f"{hydra_word(key, name)} matches no file", "see to the pattern")
        return found
    if path.is_dir():
        found = [str(file) for file in sorted(files_under(path, suffixes))]
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


def files_under(top: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yields files that are not hidden; follows links, but into no folder twice.

    A folder that is below `top` is never entered by a link: its files keep their own names.
    """
    seen: set[Path] = set()
    begin = [top]
    for start in begin:  # links are put at its end
        for parent, folders, names in os.walk(start):
            here = Path(parent)
            if here.resolve() in seen:
                folders.clear()
                continue
            seen.add(here.resolve())
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            begin += [here / name for name in folders if (here / name).is_symlink()]
            for name in names:
                if name.lower().endswith(suffixes) and not name.startswith("."):
                    yield here / name


def named_files(files: Sequence[str]) -> str:
    """Returns the first names, for an error."""
    more = ", ..." if len(files) > MOST_NAMED else ""
    return f"{', '.join(printable(file) for file in files[:MOST_NAMED])}{more}"
