"""Fixtures of pictures in files, and of the folder where they are kept decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
from photos import fill


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # No test waits until its files have settled.
    monkeypatch.setattr("sslcli.data.pixel_cache.STABLE_AFTER", 0)
    return tmp_path / "cache/sslcli/folders"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """train/ of 2 x 20 and test/ of 2 x 4 noisy JPEGs."""
    for part, count in (("train", 20), ("test", 4)):
        for name in ("cat", "dog"):
            fill(tmp_path / "photos" / part / name, count)
    return tmp_path / "photos"
