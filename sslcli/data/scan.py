"""Lists the picture files in a tree of folders, with their parts and labels.

No file is opened.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.file_bytes import read_bytes
from sslcli.data.blocks import Blocks
from sslcli.data.parts import is_ignored, part_folders, refuse_nested_parts
from sslcli.data.picture_names import (
    DEEP_SUFFIXES,
    SUFFIXES,
    is_deep_picture,
    is_picture,
    notes_on_kinds,
    of_one_kind,
)
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError
from sslcli.text import hydra_path


@dataclass(frozen=True)
class Listing:
    """Lists N picture files.

    `names` relative to `root`; `sizes` in bytes and `changed`, ns since 1970, (N,) int64, -1 where
    that cannot be told. It is the system's time of the last change (ctime), which `cp -p` and
    `rsync -t` cannot set back.
    """

    root: str
    names: tuple[str, ...]
    sizes: NDArray[np.int64]
    changed: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def path(self, row: int) -> str:
        """Returns where the file lies: of one in an archive, the archive and the name inside."""
        return f"{self.root}{os.sep}{self.names[row]}"

    def read(self, row: int) -> bytes:
        """Returns a file's content, from any thread; raises OSError where it cannot be read."""
        return read_bytes(self.path(row))

    @property
    def kept_as(self) -> str:
        """Returns the path after which the cache of these files is named."""
        return self.root

    def blocks_of(self, rows: NDArray[np.int64]) -> Blocks | None:
        """Returns the blocks in which rows lie, where they are to be trained on block by block."""
        return None

    @cached_property
    def key(self) -> str:
        """Returns 16 hex digits that change when a file is added, removed or changed."""
        digest = hashlib.sha256(os.fsencode("\0".join(self.names)))
        digest.update(self.sizes.tobytes() + self.changed.tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class PictureFiles:
    """Selects files of a listing: `rows` (N,) int64, by name, and `labels` (N,) int64.

    `groups` (N,) int64, where there are groups; `targets` as in `ImageSet`.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    groups: NDArray[np.int64] | None = None
    targets: NDArray[np.bool_] | NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, indices: NDArray[np.int64]) -> PictureFiles:
        return PictureFiles(
            self.rows[indices],
            None if self.labels is None else self.labels[indices],
            None if self.groups is None else self.groups[indices],
            None if self.targets is None else self.targets[indices],
        )

    def without_labels(self) -> PictureFiles:
        return replace(self, labels=None, targets=None)


def scan(root: Path) -> tuple[Listing, StoredParts[PictureFiles]]:
    """Returns the pictures under `root`, and the parts they belong to.

    With train/ in it, `root` has the parts train/, val/ and test/, and nothing else in it is read;
    without, all is for training. Where all training pictures lie in subfolders, those are the
    classes. Left out: hidden files, those that systems leave behind, and what is no picture. Of a
    part with deep and with other pictures, the deep are read where training has these alone.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise SslcliError(f"data.root {what}: {root}", _fix_of_root(root))
    try:
        folders, notes = part_folders(root)
    except OSError as error:
        raise _unreadable_error(error) from error
    every = {part: _every_picture(folder) for part, folder in folders.items()}
    deep = all(map(is_deep_picture, every["train"].names))
    found = {part: _of_one_kind(listing, deep) for part, listing in every.items()}
    notes += [
        line
        for part, listing in found.items()
        for line in notes_on_kinds(listing.root, listing.names, every[part].names)
    ]
    stored = stored_parts(folders, {part: found[part].names for part in found}, notes)
    return _join(root, list(found.values())), stored


def stored_parts(
    folders: dict[str, Path], names: dict[str, tuple[str, ...]], notes: list[str]
) -> StoredParts[PictureFiles]:
    """Returns the parts that lie in `folders`, with the classes of their pictures.

    `names` are each part's, in its folder; in the listing the parts follow one another. Raises
    SslcliError for an empty part, for parts in folders of training, and for an unknown class.
    """
    for part, of_part in names.items():
        if not of_part:
            raise SslcliError(
                f"there are no pictures in {folders[part]}",
                f"it should hold files ending in {' '.join((*SUFFIXES, *DEEP_SUFFIXES))}",
            )
    refuse_nested_parts(folders["train"], names["train"])
    class_of = {part: class_folders(of_part) for part, of_part in names.items()}
    classes = None if class_of["train"] is None else tuple(sorted(set(class_of["train"])))
    files, start = {}, 0
    for part, of_part in names.items():
        labels = labels_of(str(folders[part]), class_of[part], classes)
        files[part] = PictureFiles(np.arange(start, start + len(of_part)), labels)
        start += len(of_part)
    stored = StoredParts(
        files["train"], files.get("val"), files.get("test"), classes, warnings=tuple(notes)
    )
    if classes is None and any(os.sep in name for name in names["train"]):
        stored = stored.without_labels(
            f"some pictures lie beside the class folders of {folders['train']}"
        )
    return stored


def _fix_of_root(root: Path) -> str:
    """Returns what to type: a file may be what another data= reads."""
    others = {
        "shards": (".tar", ".tgz", ".gz"),
        "parquet": (".parquet",),
        "table": (".csv", ".tsv", ".jsonl", ".ndjson", ".txt"),
        "arrays": (".npz",),
    }
    kinds = [kind for kind, suffixes in others.items() if root.suffix.lower() in suffixes]
    if root.is_file() and kinds:
        return f"data={kinds[0]} reads such files: {hydra_path('data.root', root)}"
    return "data.root=path/to/a/folder/of/pictures, or a zip file of one"


def pictures_under(folder: Path) -> list[Path]:
    """Returns sorted paths in `folder`; follows links, but into no folder twice."""
    return [Path(name) for name in list_folder(folder).names]


def list_folder(folder: Path) -> Listing:
    """Lists as `pictures_under`; raises SslcliError where a folder cannot be read."""
    return _of_one_kind(_every_picture(folder), deep=False)


def _every_picture(folder: Path) -> Listing:
    names: list[str] = []
    numbers: list[int] = []
    try:
        _collect(str(folder), "", names, numbers, set())
    except OSError as error:
        raise _unreadable_error(error) from error
    sizes, changed = np.array(numbers, dtype=np.int64).reshape(-1, 2).T.copy()
    return Listing(str(folder), tuple(names), sizes, changed)


def _of_one_kind(listing: Listing, deep: bool) -> Listing:
    kept = of_one_kind(listing.names, deep)
    if kept.all():
        return listing
    names = tuple(compress(listing.names, kept))
    return Listing(listing.root, names, listing.sizes[kept], listing.changed[kept])


def _unreadable_error(error: OSError) -> SslcliError:
    return SslcliError(
        f"{error.filename} cannot be read: {error.strerror}", "see to its permissions"
    )


def _collect(
    folder: str, prefix: str, names: list[str], numbers: list[int], seen: set[tuple[int, int]]
) -> None:
    """Adds every picture's name, and its size and time of change to `numbers`.

    They are sorted as paths are, part by part.
    """
    here = os.open(
        folder, os.O_RDONLY | os.O_DIRECTORY
    )  # paths from here are resolved faster than whole ones
    try:
        status = os.fstat(here)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as entries:
            folders = {entry.name: _is_folder(entry) for entry in entries}
        for name in sorted(folders):
            if folders[name]:
                if not is_ignored(name):
                    _collect(
                        f"{folder}{os.sep}{name}", f"{prefix}{name}{os.sep}", names, numbers, seen
                    )
            elif is_picture(name) or is_deep_picture(name):
                names.append(prefix + name)
                numbers += size_and_change(name, here)
    finally:
        os.close(here)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def size_and_change(name: str, folder: int | None = None) -> tuple[int, int]:
    """Returns bytes and ctime (ns) of a file, in the open `folder` if given; -1 where it is not."""
    try:
        status = os.stat(name, dir_fd=folder)
    except OSError:  # a link to nowhere: reading it will say so
        return -1, -1
    return status.st_size, status.st_ctime_ns


def class_folders(names: tuple[str, ...]) -> list[str] | None:
    """Returns the first folder of each file; None where a file lies in none."""
    parts = [name.partition(os.sep) for name in names]
    return [first for first, _, _ in parts] if all(rest for _, _, rest in parts) else None


def labels_of(
    root: str, folders: list[str] | None, classes: tuple[str, ...] | None
) -> NDArray[np.int64] | None:
    """Returns (N,) numbers of the classes of files in `folders` under `root`.

    The classes are those of the training pictures.
    """
    if classes is None or folders is None:
        return None
    unknown = sorted(set(folders) - set(classes))
    if unknown:
        raise SslcliError(
            f"{root} has the class folder {unknown[0]!r}, which the training pictures have not",
            "rename it (the classes are "
            f"{', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''})",
        )
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[folder] for folder in folders], dtype=np.int64)


def _join(root: Path, listings: list[Listing]) -> Listing:
    """Joins the listings of all parts to one."""
    if listings[0].root == str(root):
        return listings[0]
    names: list[str] = []
    for listing in listings:
        prefix = os.path.relpath(listing.root, root) + os.sep
        names += [prefix + name for name in listing.names]
    sizes = np.concatenate([listing.sizes for listing in listings])
    return Listing(
        str(root), tuple(names), sizes, np.concatenate([listing.changed for listing in listings])
    )
