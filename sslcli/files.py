"""Writes files completely or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.system import is_alive, process_space, sync_folder

TEMPORARY = re.compile(r"\..+\.(\d+)(?:-([0-9a-f]*)-[0-9a-f]{16})?\.tmp")
"""Matches the names of temporary files, also those of 0.1.0, which had the process alone."""
DAY = 24 * 60 * 60


def expanded(path: str | Path) -> Path:
    """Returns the path with its `~` or `~user` as that home.

    Raises SslcliError where there is none.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        message = f"{str(path)!r} begins with the home of a user that is not there"
        raise SslcliError(message, "write the whole path; ./~… is a folder of that name") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file so that readers, and crashes, find its old or new content whole."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` at the end.

    `durable`: it is on the disk then, so that a crash of the machine loses neither old nor new.
    """
    # Cut, because a name that is as long as names may be leaves no room for more.
    short = path.name[:50]
    remove_abandoned(path.parent, short)
    temporary = path.with_name(_temporary_name(short))
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


@contextlib.contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder, whose files are moved into `folder` at the end.

    They are moved one by one. After an error none is, and folders that were made for it are
    removed.
    """
    made = [missing for missing in (folder, *folder.parents) if not missing.exists()]
    temporary = folder / _temporary_name("writing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder, "writing")
        temporary.mkdir()
    except OSError as reason:
        raise SslcliError(
            f"{folder} cannot be written: {reason.strerror}",
            "make it writable, or free some space",
        ) from None
    try:
        try:
            yield temporary
            for file in sorted(temporary.iterdir()):
                file.replace(folder / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except BaseException:
        for empty in made:
            with contextlib.suppress(OSError):  # something else was put there meanwhile
                empty.rmdir()
        raise


def _temporary_name(name: str) -> str:
    """Returns a name that no other process of any machine gives, nor this one again."""
    return f".{name}.{os.getpid()}-{process_space() or ''}-{secrets.token_hex(8)}.tmp"


def remove_abandoned(folder: Path, name: str) -> None:
    """Removes what dead processes left behind while they wrote `name` into `folder`.

    What another machine or container wrote, whose processes are not seen from here, is removed
    after a day.
    """
    for path in folder.glob(f".{glob.escape(name)}.*.tmp"):
        if (found := TEMPORARY.fullmatch(path.name)) and _is_abandoned(path, *found.groups()):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_abandoned(path: Path, process: str, space: str | None) -> bool:
    if space and space == process_space():
        return not is_alive(int(process))
    try:
        return time.time() - path.lstat().st_mtime > DAY
    except OSError:  # it was finished meanwhile
        return False
