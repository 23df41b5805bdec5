"""Follows runs until they end: on a terminal, in lines, or as a page's server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.screen import Screen
from sslcli.tools.watch.frame import frame
from sslcli.tools.watch.sight import Sight, Watched
from sslcli.tools.watch.web import WatchServer

if TYPE_CHECKING:
    from sslcli.console import Console

LOOK_EVERY = 1.0
"""Seconds between two looks on a terminal."""
LINE_EVERY = 10.0
"""Seconds between two lines about a run, where there is no terminal."""
SEARCH_EVERY = 10.0
"""Seconds between two searches for runs that began meanwhile."""
Show = Callable[[Sequence[Sight]], None]


def follow_on_page(folder: Path, port: int, console: Console) -> int:
    """Serves the page until Ctrl-C: a run that has ended may be resumed."""
    watched = Watched(folder)
    watched.look()  # so that the first page waits for nothing
    with WatchServer(watched, port) as server:
        console.say(f"{server.address}\nopen it in a browser of this machine; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def follow_on_terminal(folder: Path, console: Console) -> int:
    """Shows one run until it ends; returns 0 where it finished, else 1."""
    watched = Watched(folder)
    with _shown(console) as show, contextlib.suppress(KeyboardInterrupt):
        while True:
            sight = watched.look()
            show([sight])
            if sight.has_ended:
                return 0 if sight.status == "finished" else 1
            time.sleep(LOOK_EVERY)
    return 0


def follow_running(
    folders: Sequence[Path], search: Callable[[], list[Path]], console: Console
) -> int:
    """Shows all runs that are running, those that begin meanwhile too, until Ctrl-C."""
    runs = {folder: Watched(folder) for folder in folders}
    searched = time.monotonic()
    with _shown(console) as show, contextlib.suppress(KeyboardInterrupt):
        while True:
            show([watched.look() for watched in runs.values()])
            time.sleep(LOOK_EVERY)
            if time.monotonic() - searched > SEARCH_EVERY:
                runs |= {folder: Watched(folder) for folder in search() if folder not in runs}
                searched = time.monotonic()
    return 0


@contextlib.contextmanager
def _shown(console: Console) -> Iterator[Show]:
    """Yields what shows the runs: on a terminal in place, else in lines."""
    screen = Screen()
    if not screen.is_terminal:
        yield Lines(console).show
        return
    with screen.live() as show_lines:

        def show(sights: Sequence[Sight]) -> None:
            width, height = screen.size
            running = [sight for sight in sights if not sight.has_ended] or sights[-1:]
            show_lines(frame(running, width, height - 1, screen.has_unicode))

        yield show


class Lines:
    """Writes a line about a run every LINE_EVERY seconds, and for all that is new about it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[tuple[Path, str]] = set()
        self._last: dict[Path, float] = {}
        self._status: dict[Path, str] = {}

    def show(self, sights: Sequence[Sight]) -> None:
        for sight in sights:
            self._words(sight)
            now = time.monotonic()
            is_new = self._status.get(sight.folder) != sight.status
            is_due = not sight.has_ended and now - self._last.get(sight.folder, now) >= LINE_EVERY
            if is_new or is_due:
                self._status[sight.folder], self._last[sight.folder] = sight.status, now
                self._console.say(_line(sight))

    def _words(self, sight: Sight) -> None:
        for text in (*sight.alarms, *sight.warnings):
            if (sight.folder, text) not in self._said:
                self._said.add((sight.folder, text))
                self._console.warn(f"{sight.folder.name}: {text}")


def _line(sight: Sight) -> str:
    numbers = ", ".join(f"{name} {value}" for name, value in sight.numbers)
    progress = "" if sight.progress is None else f" {sight.progress.words}:"
    return f"{sight.folder.name}: {sight.status}:{progress} {numbers}".rstrip(": ")
