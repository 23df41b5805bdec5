"""Draws a text that changes, in colour, in its place on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
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
    def live(self) -> Iterator[Callable[[Sequence[Line]], None]]:
        """Yields the function that shows lines in the place of those before.

        Lines are cut at the terminal's width. The last ones stay when it ends.
        """
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as live:
            yield lambda lines: live.update(self._text(lines), refresh=True)

    def _text(self, lines: Sequence[Line]) -> Text:
        text = Text("\n").join(
            Text.assemble(*((self._shown(text), style) for text, style in line)) for line in lines
        )
        text.no_wrap, text.overflow = True, "ellipsis" if self.has_unicode else "crop"
        return text

    def _shown(self, text: str) -> str:
        """Escapes control codes; what the terminal has no characters for becomes `?`."""
        encoding = self._console.encoding
        return printable(text).encode(encoding, "replace").decode(encoding)
