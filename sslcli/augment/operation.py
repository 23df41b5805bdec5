"""Defines a further change of views, which is off unless a setting asks for it."""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor

from sslcli.transfer import sent


class Operation(Protocol):
    """Changes some of the views at random: (N, C, S, S) floats in [0, 1], of any C."""

    moves: ClassVar[bool]
    """Whether it moves pixels; else it changes their values."""

    def sample(self, num_images: int, channels: int, side: int) -> Tensor:
        """Draws what is done to each of N views of `side` pixels on the CPU: a row a view."""
        ...

    def apply_(self, views: Tensor, drawn: Tensor) -> None:
        """Changes the views in place; `drawn` is on the CPU, wherever `views` are."""
        ...


def rows_of(chosen: Tensor, views: Tensor) -> Tensor | None:
    """Returns which rows are `chosen`, (N,) bool on the CPU, on the views' device; None of none."""
    rows = chosen.nonzero().flatten()
    return sent(rows, views.device) if len(rows) else None
