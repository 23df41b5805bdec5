"""Writes files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sslcli.errors import SslcliError


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces `path` whole: whoever reads it, at any moment and after any crash, finds the old content or the new."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there replaces `path` at the end.

    `durable`: it is on the disk then, so that a crash of the machine loses neither old nor new.
    """
    # Cut, because a name that is as long as names may be leaves no room for more.
    temporary = path.with_name(f".{path.name[:50]}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextlib.contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder inside `folder`; at the end what was written there takes its place in `folder`, file by file.
    After an error nothing does, and folders made for it are gone again."""
    made = [missing for missing in (folder, *folder.parents) if not missing.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder, prefix=".")
    except OSError as reason:
        raise SslcliError(
            f"{folder} cannot be written: {reason.strerror}",
            "make it writable, or see to the space left",
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
