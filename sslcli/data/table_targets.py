"""Reads from a table what is no single class: several classes a picture, and numbers."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sslcli.data.parts import ORDER
from sslcli.data.table_file import BETWEEN, Table
from sslcli.errors import SslcliError

LARGEST = 1e100
"""The largest number, up or down, that can be learned: its square must not overflow."""

Targets: TypeAlias = NDArray[np.bool_] | NDArray[np.float64]


def read_targets(
    table: Table, parts: NDArray[np.int8]
) -> tuple[Targets | None, tuple[str, ...] | None]:
    """Returns the rows' targets (N, T) and their names; None where no column holds any.

    `parts` (N,) are numbers in ORDER. A number that is not known is nan. Raises SslcliError as
    `several` and `known_numbers` do.
    """
    if "labels" in table.columns:
        return several(table, parts)
    if "target" in table.columns:
        return known_numbers(table, parts), (table.names["target"],)
    return None, None


def several(table: Table, parts: NDArray[np.int8]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Returns which of K classes each row names, (N, K), and the classes.

    Raises SslcliError where no training row names any, or another row one that none of these has.
    """
    named = [_names(text) for text in table.columns["labels"]]
    seen = {name for row in np.flatnonzero(parts == 0).tolist() for name in named[row]}
    if not seen:
        message = f"{table.file}: no training row has a label"
        raise SslcliError(message, "data.labels=COLUMN names the column of several classes")
    classes = in_order(seen)
    numbers = {name: number for number, name in enumerate(classes)}
    targets = np.zeros((len(table), len(classes)), dtype=np.bool_)
    for row, names in enumerate(named):
        for name in names:
            if name not in numbers:
                raise unknown_class(table.place(row), name, classes)
            targets[row, numbers[name]] = True
    return targets, tuple(classes)


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(BETWEEN)} - {""}


def unknown_class(place: str, name: str, classes: list[str]) -> SslcliError:
    """Returns the error for a class that is in no training row."""
    listed = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
    return SslcliError(
        f"{place}: the class {name!r} is in no training row",
        f"rename it (the classes are {listed}), or leave it out",
    )


def known_numbers(table: Table, parts: NDArray[np.int8]) -> NDArray[np.float64]:
    """Returns each row's number (N, 1), nan where the cell is empty.

    Raises SslcliError for what is no number, for a validation or test row without one, and where no
    training row has one.
    """
    targets = np.full((len(table), 1), np.nan)
    for row, text in enumerate(table.columns["target"]):
        if text:
            targets[row] = _number(text, table.place(row))
        elif parts[row] > 0:
            message = f"{table.place(row)}: a {ORDER[parts[row]]} row without a target"
            raise SslcliError(message, "give it one, or leave the row out")
    if np.isnan(targets[parts == 0]).all():
        message = f"{table.file}: no training row has a target"
        raise SslcliError(message, "data.target=COLUMN names the column of numbers")
    return targets


def _number(text: str, place: str) -> float:
    try:
        number = float("nan" if "_" in text else text)  # Python reads 1_000 too
    except ValueError:
        number = np.nan
    if not abs(number) <= LARGEST:
        message = f"{place}: the target is {text!r}, and must be a number (-{LARGEST} to {LARGEST})"
        fix = "leave the cell empty if it is not known; data.label=COLUMN, if these are classes"
        raise SslcliError(message, fix)
    return number + 0.0  # -0.0 is 0.0, as other kinds of tables write it


def in_order(names: set[str]) -> list[str]:
    """Returns names sorted, as numbers where all are whole numbers."""
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
