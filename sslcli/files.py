"""Writes files completely or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sslcli.errors import SslcliError


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file: a reader finds the old content or the new, at any moment or crash."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; at the end it replaces `path`, durably."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder; at the end its files are moved into `folder`, one by one.

    After an error none is moved, and folders that were made for it are removed.
    """
    made = [missing for missing in (folder, *folder.parents) if not missing.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder, prefix=".")
    except OSError as reason:
        raise SslcliError(
            f"{folder} cannot be written: {reason.strerror}",
            "make it writable, or free some space",
        ) from None
    try:
        with temporary as path:
            yield Path(path)
            for file in sorted(Path(path).iterdir()):
                file.replace(folder / file.name)
    except BaseException:
        for empty in made:
            with contextlib.suppress(OSError):  # something else was put there meanwhile
                empty.rmdir()
        raise
