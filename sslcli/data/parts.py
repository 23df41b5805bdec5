"""Tells the parts of a data set from classes, and from the system's files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.text import hydra_path

PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Folders that are parts of the data, not classes; capitals do not count."""

ORDER = ("train", "val", "test")

SYSTEM_FILES = {
    "__macosx", "icon\r", "network trash folder", "temporary items",  # macOS
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini",  # Windows
    "$recycle.bin", "recycler", "system volume information", "found.000",
    "lost+found", "lost.dir",  # Linux, Android
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot",  # NAS
    "__pycache__",
}  # fmt: skip
"""Files and folders that systems make, in lower case, beside all that begin with a dot.

Such as .DS_Store, ._a.jpg, .Trashes, .ipynb_checkpoints, .@__thumb.
"""

_GENERIC = (
    "set|sets|split|data|dataset|image|images|img|imgs|picture|pictures|photo|photos|file|files|"
    "sample|samples|folder|part|new|old|final|copy|raw|small|large"
)
_PART_WORD = re.compile(rf"(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)(?:{_GENERIC})?")
_OTHER_WORD = re.compile(rf"\d+|{_GENERIC}")


def is_ignored(name: str) -> bool:
    """Tells whether a file or folder is hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def guess_part(name: str) -> str | None:
    """Returns the part that a folder's name means, such as train2017 or test_images.

    None for names with any other word in them, such as train_station.
    """
    words = re.findall(r"[^\W\d_]+|\d+", name.lower())
    parts = [word for word in words if not _OTHER_WORD.fullmatch(word)]
    match = _PART_WORD.fullmatch(parts[0]) if len(parts) == 1 else None
    return PARTS[match[1]] if match else None


def part_folders(root: Path) -> tuple[dict[str, Path], list[str]]:
    """Returns the folder of each part, and notes on the folders beside them, left out."""
    return parts_among(root, [entry.name for entry in root.iterdir() if entry.is_dir()])


def parts_among(root: Path, names: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Returns as `part_folders`, of folders of these names in `root`."""
    visible = sorted(root / name for name in names if not is_ignored(name))
    folders: dict[str, Path] = {}
    for entry in visible:
        part = PARTS.get(entry.name.lower())
        if part in folders:
            raise SslcliError(
                f"{folders[part]} and {entry} are the same part of the data", "merge them"
            )
        if part is not None:
            folders[part] = entry
    if not folders:
        return {"train": root}, []
    beside = [entry for entry in visible if entry not in folders.values()]
    if "train" not in folders:
        raise _no_train_error(root, folders, beside)
    return folders, _ignored_folder_notes(beside, folders)


def _no_train_error(root: Path, folders: dict[str, Path], beside: list[Path]) -> SslcliError:
    names = " and ".join(f"{folder.name}/" for folder in folders.values())
    like = [entry.name for entry in beside if guess_part(entry.name) == "train"]
    fix = f"rename {like[0]}/ to train/" if like else "name the folder of training pictures train/"
    return SslcliError(f"{root} has {names} but no train/", fix)


def _ignored_folder_notes(beside: list[Path], folders: dict[str, Path]) -> list[str]:
    names = [f"{entry.name}/" for entry in beside]
    train = folders["train"].name
    notes = [f"left out, beside {train}/: {', '.join(names)}"] if beside else []
    for entry in beside:
        part = guess_part(entry.name)
        if part is not None:
            fix = f"merge it with {folders[part].name}/" if part in folders else f"name it {part}/"
            notes.append(f"{entry.name}/ looks like {part} pictures and is left out: {fix}")
    return notes


def refuse_nested_parts(folder: Path, names: Iterable[str]) -> None:
    """Raises SslcliError where training pictures lie in folders that look like parts.

    `names` are their paths in `folder`. Two different parts in any folder of the tree are refused,
    since all of them, test too, would be trained on; at its top one val or test folder is.
    """
    top: set[str] = set()
    parts_in: dict[str, dict[str, str]] = {}
    for parent in {os.path.dirname(name) for name in names}:  # noqa: PTH120 (a million of them)
        pieces = Path(parent).parts
        top.update(pieces[:1])
        for depth, piece in enumerate(pieces):
            part = guess_part(piece)
            if part is not None:
                parts_in.setdefault(str(Path(*pieces[:depth])), {})[piece] = part
    for inside, parts in sorted(parts_in.items()):
        different = set(parts.values())
        if len(different) > 1 or (inside == "." and different != {"train"}):
            in_order = sorted(parts, key=lambda name: (ORDER.index(parts[name]), name))
            raise _nested_parts_error(folder, inside, in_order, alone=top == {inside})


def _nested_parts_error(folder: Path, inside: str, names: list[str], *, alone: bool) -> SslcliError:
    listed = " and ".join(f"{name}/" for name in names[:4]) + (", ..." if len(names) > 4 else "")
    inner = folder / inside
    if inside == "." or PARTS.get(names[0].lower()) != "train":
        return SslcliError(
            f"{inner} has {listed}, which look like parts of the data, and all of them would be "
            "trained on",
            "name them train/, val/ and test/, directly in data.root; if they are classes, "
            f"give them names of things, such as class-{names[0]}/",
        )
    fix = hydra_path("data.root", inner)
    if alone:
        return SslcliError(f"{folder} holds one folder, which has {listed}", fix)
    return SslcliError(
        f"{inner} has {listed}, and all of them would be trained on: parts of the data must lie "
        "directly in data.root",
        f"{fix}, or move the parts up: {folder}/train, {folder}/test",
    )
