"""Settles and hashes what a config reads: its fields declared with `file=True`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.provenance import hash_of

T = TypeVar("T")


def with_absolute_files(config: T, where: str = "") -> T:
    """Returns the config with the paths of its files and folders absolute.

    Raises SslcliError for one that is not there.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), f"{where}{field.name}"
        if not field.metadata.get("file", False) or not isinstance(value, str | list):
            changes[field.name] = with_absolute_files(value, f"{key}.")
        elif isinstance(value, list):
            changes[field.name] = [
                path if path in _words(field) else _absolute(key, path, _inside(field))
                for path in value
            ]
        elif value in _words(field):
            changes[field.name] = value
        else:
            changes[field.name] = _absolute(key, value, _inside(field))
    if all(changes[name] == getattr(config, name) for name in changes):
        return config
    return dataclasses.replace(config, **changes)


def _words(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """Returns the texts that may stand in a field of files, and name none."""
    words: tuple[str, ...] = field.metadata.get("words", ())
    return words


def _absolute(key: str, path: str, inside: tuple[str, ...]) -> str:
    typed = expanded(path)
    begins = "" if typed.is_absolute() else f"; a relative path begins in {Path.cwd()}"
    _require_there(key, path, typed, f"put it there, or name another: {key}=…{begins}")
    _require_inside(key, path, typed, inside)
    return str(typed.absolute())


def _inside(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    return tuple(field.metadata.get("inside", ()))


def file_hashes(config: Any, where: str = "") -> dict[str, str]:
    """Returns by key the hash of what each field names, where it changes results.

    Equal for files of equal content, wherever they are; of a folder the names inside count too.
    Raises SslcliError for one that is not there.
    """
    hashes: dict[str, str] = {}
    if not dataclasses.is_dataclass(config):
        return hashes
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), f"{where}{field.name}"
        if not field.metadata.get("changes_results", True) or value in (None, []):
            continue
        if field.metadata.get("file", False):
            if isinstance(value, str | list):
                hashes.update(_hash(key, value, field))
        else:
            hashes.update(file_hashes(value, f"{key}."))
    return hashes


def _hash(key: str, value: str | list[str], field: dataclasses.Field[Any]) -> dict[str, str]:
    """Returns the hash of the files and of the words between them; none of words alone."""
    texts, words = value if isinstance(value, list) else [value], _words(field)
    said = [text for text in texts if text in words]
    if len(said) == len(texts):
        return {}
    found = {
        f"{n}/{name}": path
        for n, text in enumerate(texts)
        if text not in words
        for name, path in _files(key, text, _inside(field))
    }
    between = [text if text in words else "" for text in texts]
    return {key: "+".join([hash_of(found), *(between if said else [])])}


def _files(key: str, path: str, inside: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Yields the file itself, or the files below the folder by their names inside."""
    top = Path(path)
    _require_there(key, path, top, "put it back, or write into config.yaml where it is now")
    if inside:
        _require_inside(key, path, top, inside)
        yield from ((name, top / name) for name in inside)
        return
    if top.is_file():
        yield "", top
    seen = {top.resolve()}  # a link may lead upwards
    for parent, folders, names in os.walk(top, followlinks=True):
        folders.sort()  # of links to one folder the first is followed
        targets = {name: Path(parent, name).resolve() for name in folders}
        folders[:] = [name for name in folders if targets[name] not in seen]
        seen.update(targets.values())
        for file in (Path(parent, name) for name in names):
            if file.is_file():
                yield file.relative_to(top).as_posix(), file


def _require_there(key: str, typed: str, path: Path, fix: str) -> None:
    if not typed or not (path.is_file() or path.is_dir()):
        raise SslcliError(f"{key}: there is no file or folder {typed!r}", fix)


def _require_inside(key: str, typed: str, path: Path, inside: tuple[str, ...]) -> None:
    absent = [name for name in inside if not (path / name).is_file()]
    if absent:
        message = f"{key}: {typed!r} is no folder that holds {' and '.join(inside)}"
        raise SslcliError(message, f"name one that does; {absent[0]} is not there")
