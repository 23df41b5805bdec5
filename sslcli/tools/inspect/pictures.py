"""Defines the list of pictures that is inspected, and what is said of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.parts import ORDER
from sslcli.errors import SslcliError

PART_NAMES = (*ORDER, "unlabelled")
Content = bytes | NDArray[Any]


@dataclass(frozen=True)
class Catalogue:
    """Lists N pictures.

    `parts` (N,) are numbers in PART_NAMES. `content` gives a row's file, or its pixels. `labels`:
    a class each, or `several` with | between, "" where there is none; `groups` likewise; `targets`:
    the numbers that are known. `refusal`: why a run would not begin; `notes`: what it warns of.
    `held_out`: validation is a draw of ours, and not brought. `root`: the folder of files.
    """

    names: Sequence[str]
    parts: NDArray[np.int8]
    content: Callable[[int], Content]
    labels: Sequence[str] | None = None
    several: bool = False
    targets: NDArray[np.float64] | None = None
    groups: Sequence[str] | None = None
    num_bytes: int | None = None
    refusal: SslcliError | None = None
    notes: tuple[str, ...] = field(default=())
    held_out: bool = False
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.names)
