"""Files that a tool leaves beside a run: all of them, each whole, or none."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sslcli.errors import SslcliError


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder inside `folder`; at the end what was written there takes its place in `folder`, file by file.
    After an error nothing does, and folders made for it are gone again."""
    made = [missing for missing in (folder, *folder.parents) if not missing.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder, prefix=".")
    except OSError as reason:
        raise SslcliError(
            f"{folder} cannot be written: {reason.strerror}", "make it writable, or see to the space left"
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


def require_free(targets: list[Path], force: bool) -> None:
    """Raises SslcliError where something is in the way of a target, unless it may be overwritten."""
    for target in targets:
        if target.is_dir():
            raise SslcliError(f"{target} is a folder", "choose another --output")
    taken = [target for target in targets if target.exists()]
    if taken and not force:
        more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise SslcliError(f"{taken[0]} exists already{more}", "--force overwrites; --output names another place")
