"""Reads the lines of a file that another process writes, from a line on."""

from __future__ import annotations

from pathlib import Path

AT_ONCE = 1000
"""Lines that are read at a time: what waits, waits in the file."""


class Lines:
    """Reads a growing file of which a resumed run may cut the end, and write it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = self._offset = 0
        """The lines and bytes that were read; the last of the lines."""
        self._last = b""

    def after(self, number: int) -> list[bytes]:
        """Returns up to AT_ONCE complete lines that follow the first `number` ones."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            file.seek(max(0, self._offset - len(self._last)))
            if self._number > number or file.read(len(self._last)) != self._last:
                self._number, self._offset, self._last = 0, 0, b""
                file.seek(0)
            found: list[bytes] = []
            for line in file:
                if not line.endswith(b"\n") or len(found) == AT_ONCE:
                    break
                self._number, self._offset = self._number + 1, self._offset + len(line)
                self._last = line
                if self._number > number:
                    found.append(line)
        return found
