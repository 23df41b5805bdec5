"""Draws a text that changes, in colour, in its place on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import IO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from sslcli.terminal import open_stream
from sslcli.text import printable

Piece = tuple[str, str]
"""A text and its style in rich's words, such as `bold red` or `#ffffff on #000000`."""
Line = Sequence[Piece]


class Screen:
    """A terminal's place for a text; `width` and `height` in characters, as they are now."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._console = RichConsole(
            file=open_stream(stream or sys.stdout), highlight=False, markup=False, emoji=False
        )

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    @property
    def has_unicode(self) -> bool:
        return self._console.encoding.lower().startswith("utf")

    @property
    def size(self) -> tuple[int, int]:
        return self._console.width, self._console.height

    @contextlib.contextmanager
    def live(self) -> Iterator[Live]:
        """Yields what `draw` draws on; the last text stays on the terminal."""
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as live:
            yield live


def draw(live: Live, lines: Sequence[Line]) -> None:
    """Puts the lines into the place of those before; they are cut at the terminal's width."""
    text = Text("\n").join(
        Text.assemble(*((printable(text), style) for text, style in line)) for line in lines
    )
    text.no_wrap, text.overflow = True, "ellipsis"
    live.update(text, refresh=True)
