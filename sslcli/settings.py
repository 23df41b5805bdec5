"""Declares a config's fields, each with a default and one line for `--help`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

REQUIRED: Any = "???"
"""The default of a required field: composing a config without it is an error that names it."""

NOTHING: Any = object()
"""Stands for a value that is not given."""


def setting(
    default: T,
    meaning: str,
    *,
    changes_results: bool = True,
    added_later: bool = False,
    file: bool = False,
    inside: tuple[str, ...] = (),
    words: tuple[str, ...] = (),
    before: Any = NOTHING,
) -> T:
    """Returns a dataclass field.

    `changes_results=False` keeps it out of the run's identity: it says where and how a run
    computes, not what. `added_later`: configs saved before lack it, and did what its default does:
    at its default it is no part of the identity either. `before`: what those did, where that is
    another value than the default; they are read so, and it is no part of the identity either.

    `file`: the text, or each of the texts, is the path of a file or folder that is read. It is made
    absolute, must be there, and its content counts in the identity, not its name. A run that is
    resumed must find the same content (`input_files.py`). `inside`: it is a folder, which must hold
    these files; what else lies there is not read, and does not count. `words`: texts that name no
    file.
    """
    metadata = {
        "meaning": meaning,
        "changes_results": changes_results,
        "added_later": added_later,
        "file": file,
        "words": words,
        "inside": inside,
        "before": before,
    }
    if isinstance(default, list):
        field: Any = dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    else:
        field = dataclasses.field(default=default, metadata=metadata)
    return field  # type: ignore[no-any-return]


def part(factory: Callable[[], T], meaning: str, *, changes_results: bool = True) -> T:
    """Returns a dataclass field that is itself a config, made by `factory`."""
    metadata = {"meaning": meaning, "changes_results": changes_results}
    field: Any = dataclasses.field(default_factory=factory, metadata=metadata)
    return field  # type: ignore[no-any-return]
