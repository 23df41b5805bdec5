"""Names the pictures that are encoded, and the files that they become again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sslcli.data.picture_names import DEEP_SUFFIXES, SUFFIXES
from sslcli.data.scan import pictures_under
from sslcli.errors import SslcliError
from sslcli.trained.code_file import CodeFile


@dataclass(frozen=True)
class Source:
    """Describes a picture to encode; `name`: its path below the folder that was searched."""

    path: Path
    name: str


def listed(sources: list[Path]) -> list[Source]:
    """Returns every picture that the arguments name, in their order.

    Raises SslcliError, before any is read, where one is missing, or two would become one file.
    """
    pictures = [picture for source in sources for picture in _of(source)]
    by_target: dict[str, Source] = {}
    for picture in pictures:
        other = by_target.setdefault(_stem(picture.name).casefold(), picture)
        if other is not picture:
            message = f"{other.path} and {picture.path} would be decoded to one file"
            raise SslcliError(message, "encode them into two files of codes, or rename one")
    return pictures


def _of(source: Path) -> list[Source]:
    if not source.is_dir():
        if not source.exists():
            message = f"there is no picture or folder {source}"
            raise SslcliError(message, "see to the name; one with spaces needs quotes")
        return [Source(source, source.name)]
    names = pictures_under(source)
    if not names:
        raise SslcliError(
            f"there are no pictures in {source}",
            f"it should hold files ending in {' '.join((*SUFFIXES, *DEEP_SUFFIXES))}",
        )
    return [Source(source / name, name.as_posix()) for name in names]


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def targets_of(codes: CodeFile, folder: Path) -> list[Path]:
    """Returns the file that every picture is written to.

    Raises SslcliError where a name leads out of the folder, or two are the same: the file may come
    from anywhere.
    """
    channels, suffix = codes.origin.picture_shape[0], ".png"
    if channels not in (1, 3) or codes.origin.range is not None:
        suffix = ".npy"
    targets: list[Path] = []
    for picture in codes.pictures:
        parts = PurePosixPath(picture.name).parts
        inside = parts and parts[0] != "/" and not set(parts) & {"..", ""}
        if not inside or any("\\" in part or ":" in part or "\0" in part for part in parts):
            message = f"a picture's name would lead out of {folder}: {picture.name!r}"
            raise SslcliError(message, "do not trust this file; encode the pictures again")
        targets.append(folder.joinpath(*parts).with_suffix(suffix))
    if len(set(targets)) < len(targets):
        message = "two pictures of the file would be written to one"
        raise SslcliError(message, "encode the pictures again: sslcli encode")
    return targets
