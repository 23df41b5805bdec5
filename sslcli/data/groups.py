"""Finds the group of every picture: what it comes from, such as a patient or a plate."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.data.group_split import require_separate_groups
from sslcli.data.parts import PARTS
from sslcli.data.scan import Listing, PictureFiles
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError
from sslcli.text import hydra_word, printable

KEY = "data.groups"


def with_groups(
    stored: StoredParts[PictureFiles], listing: Listing, rule: str
) -> StoredParts[PictureFiles]:
    """Returns `stored` with the group that `rule` finds in each file's path.

    `rule`: the number of a folder level, or a regular expression with brackets. Raises SslcliError
    for a rule that cannot be used, or that finds no group in a path, and where two parts share one.
    """
    return grouped(stored, list(map(group_finder(rule), listing.names)))


def group_finder(rule: str) -> Callable[[str], str]:
    """Returns what finds the group in a path; it, and this, raise SslcliError as `with_groups`."""
    return _by_level(rule) if rule.isdigit() else _by_pattern(rule)


def grouped(
    stored: StoredParts[PictureFiles], group_of_row: Sequence[str]
) -> StoredParts[PictureFiles]:
    """Returns `stored` with the group of each file of the listing.

    Raises SslcliError where two parts share a group.
    """
    names, numbers = np.unique(np.array(group_of_row, dtype=object), return_inverse=True)
    numbers = numbers.astype(np.int64)

    def part(files: PictureFiles | None) -> PictureFiles | None:
        return None if files is None else replace(files, groups=numbers[files.rows])

    found: dict[str, PictureFiles | None] = {
        name: part(getattr(stored, name)) for name in ("train", "unlabelled", "val", "test")
    }
    groups: dict[str, NDArray[np.int64] | None] = {
        name: None if files is None else files.groups for name, files in found.items()
    }
    for trained_on in ("train", "unlabelled"):
        apart = {name: groups[name] for name in (trained_on, "val", "test")}
        require_separate_groups(apart, names.tolist())
    return replace(stored, **found)  # type: ignore[arg-type]


def _by_level(rule: str) -> Callable[[str], str]:
    level = int(rule)

    def group_of(name: str) -> str:
        folders = list(Path(name).parts[:-1])
        if folders and folders[0].lower() in PARTS:  # a folder of this name is never a class
            folders = folders[1:]
        if not 1 <= level <= len(folders):
            message = f"{hydra_word(KEY, rule)}: {printable(name)} lies in {len(folders)} folders"
            raise SslcliError(message, "1 is the first folder below data.root, or below its parts")
        return folders[level - 1]

    return group_of


def _by_pattern(rule: str) -> Callable[[str], str]:
    fix = r"give a folder level, such as 2, or a pattern such as 'patient(\d+)'"
    try:
        pattern = re.compile(rule)
    except re.error as reason:
        message = f"{hydra_word(KEY, rule)} is no regular expression: {reason}"
        raise SslcliError(message, fix) from reason
    if pattern.groups < 1:
        raise SslcliError(f"{hydra_word(KEY, rule)} has no brackets around the group", fix)

    def group_of(name: str) -> str:
        match = pattern.search(name)
        if match is None or match[1] is None:
            raise SslcliError(f"{hydra_word(KEY, rule)} finds no group in {printable(name)}", fix)
        return match[1]

    return group_of
