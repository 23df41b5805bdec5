"""Pages looked at in headless Chromium (Debian's), without a network. Skips where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
Opened = Callable[..., AbstractContextManager[Any]]


@contextmanager
def browser() -> Iterator[Opened]:
    """Gives what opens a page, `width` pixels wide, light or dark: a file, or the address of a server of this machine.

    At the end nothing may have been complained of; a file may have fetched nothing, an address nothing but what lies below it.
    """
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))

        @contextmanager
        def look(place: Path | str, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
            context = started.new_context(
                viewport={"width": width, "height": 800}, color_scheme=scheme
            )
            page = context.new_page()
            complaints: list[str] = []
            fetched: list[str] = []
            page.on("console", lambda said: complaints.append(said.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "dialog",
                lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()),
            )
            page.on("request", lambda request: fetched.append(request.url))
            address = place if isinstance(place, str) else place.absolute().as_uri()
            page.goto(address)
            yield page
            context.close()
            assert complaints == [], complaints
            requests = [url for url in fetched if not url.startswith(("data:", "blob:"))]
            if isinstance(place, str):
                assert [url for url in requests if not url.startswith(place)] == []
            else:
                assert requests == [address]

        yield look
        started.close()


def overflow(page: Any) -> int:
    """Pixels by which the page is wider than its window."""
    return int(
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


def colours(page: Any, selector: str) -> list[float]:
    """Brightness, 0 to 255, of an element's text or, in SVG, of its filling."""
    found = page.eval_on_selector_all(
        selector,
        "all => all.map(one => getComputedStyle(one)[one instanceof SVGElement ? 'fill' : 'color'])",
    )
    assert found, selector
    return [
        sum(float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]) / 3
        for colour in found
    ]
