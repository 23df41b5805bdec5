"""Tells pictures by their names, and which of them are read where there are several kinds."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sslcli.data.parts import is_ignored
from sslcli.text import printable

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
DEEP_SUFFIXES = (".npy", ".dcm", ".dicom")
"""Of pictures that are read where training has no others: beside pictures they may be anything."""


def is_picture(name: str) -> bool:
    return not is_ignored(name) and name.lower().endswith(SUFFIXES)


def is_deep_picture(name: str) -> bool:
    return not is_ignored(name) and name.lower().endswith(DEEP_SUFFIXES)


def of_one_kind(names: Sequence[str], deep: bool) -> NDArray[np.bool_]:
    """Tells which paths are read, (N,): where there are both kinds, the `deep` or the others."""
    ordinary = np.array([is_picture(name.rpartition(os.sep)[2]) for name in names], dtype=bool)
    if ordinary.all() or not ordinary.any():
        return np.ones(len(names), dtype=bool)
    return ~ordinary if deep else ordinary


def notes_on_kinds(folder: str, kept: Sequence[str], every: Sequence[str]) -> list[str]:
    """Says which files of a folder are left out for their kind."""
    if len(kept) == len(every):
        return []
    left = sorted(set(every) - set(kept))
    verb, more = ("file is", "") if len(left) == 1 else ("files are", ", ...")
    where = f"{printable(folder)}, where pictures such as {printable(kept[0])} are read"
    return [f"{len(left)} {verb} left out of {where}: {printable(left[0])}{more}"]
