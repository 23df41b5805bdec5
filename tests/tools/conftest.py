"""Fixtures of tools that write pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Opened, browser


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    """Opens a file as a page in a browser; `browser.py` says what is asked of it."""
    with browser() as look:
        yield look
