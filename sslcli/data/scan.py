"""A tree of folders -> the picture files in it, their parts and their labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.data.split import Stored
from sslcli.errors import SslcliError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Folders that are parts of the data, not classes."""


@dataclass(frozen=True)
class PictureFiles:
    """`paths` of N pictures, sorted; `labels` (N,) int64 or None."""

    paths: tuple[str, ...]
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, indices: NDArray[np.int64]) -> PictureFiles:
        labels = None if self.labels is None else self.labels[indices]
        return PictureFiles(tuple(self.paths[i] for i in indices), labels)


def scan(root: Path) -> tuple[Stored[PictureFiles], list[str]]:
    """The pictures under `root`, and what the user should know about the tree.

    With train/ in it, `root` has the parts train/, val/ and test/, and nothing else in it is read; without,
    all is for training. Where all training pictures lie in subfolders, those are the classes. Hidden files are
    left out, and so is what is no picture.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise SslcliError(f"data.root {what}: {root}", "data.root=path/to/a/folder/of/pictures")
    folders, notes = part_folders(root)
    found = {part: pictures_under(folder) for part, folder in folders.items()}
    for part, paths in found.items():
        if not paths:
            raise SslcliError(
                f"there are no pictures in {folders[part]}", f"it should hold files ending in {_endings()}"
            )
    classes = class_names(found["train"])
    if classes is None and any(len(path.parts) > 1 for path in found["train"]):
        notes.append(f"no labels: some pictures lie beside the class folders of {folders['train']}")
    files = {part: labelled(folders[part], paths, classes) for part, paths in found.items()}
    return Stored(files["train"], files.get("val"), files.get("test"), classes), notes


def part_folders(root: Path) -> tuple[dict[str, Path], list[str]]:
    """The folder of each part, and a note on what lies beside them and is left out."""
    visible = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    folders: dict[str, Path] = {}
    for entry in visible:
        part = PARTS.get(entry.name.lower())
        if part in folders:
            raise SslcliError(f"{folders[part]} and {entry} are the same part of the data", "merge them")
        if part is not None:
            folders[part] = entry
    if not folders:
        return {"train": root}, []
    if "train" not in folders:
        names = " and ".join(f"{folder.name}/" for folder in folders.values())
        raise SslcliError(f"{root} has {names} but no train/", "name the folder of training pictures train/")
    beside = [f"{entry.name}/" for entry in visible if entry not in folders.values()]
    return folders, [f"left out, beside train/: {', '.join(beside)}"] if beside else []


def pictures_under(folder: Path) -> list[Path]:
    """Paths relative to `folder`, sorted. Links are followed, but into no folder twice."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for current, folders, files in os.walk(folder, followlinks=True):
        status = Path(current).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(current).relative_to(folder)
        found += [here / name for name in files if is_picture(name)]
    return sorted(found)


def is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def class_names(paths: list[Path]) -> tuple[str, ...] | None:
    """The first folders of `paths`; None where a picture lies in none."""
    if any(len(path.parts) == 1 for path in paths):
        return None
    return tuple(sorted({path.parts[0] for path in paths}))


def labelled(folder: Path, paths: list[Path], classes: tuple[str, ...] | None) -> PictureFiles:
    """The files of a part, numbered by `classes`, those of the training pictures."""
    files = tuple(str(folder / path) for path in paths)
    names = class_names(paths)
    if classes is None or names is None:
        return PictureFiles(files, None)
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise SslcliError(
            f"{folder} has the class folder {unknown[0]!r}, which the training pictures have not",
            f"rename it (the classes are {', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''})",
        )
    numbers = {name: number for number, name in enumerate(classes)}
    return PictureFiles(files, np.array([numbers[path.parts[0]] for path in paths], dtype=np.int64))


def _endings() -> str:
    return " ".join(SUFFIXES)
