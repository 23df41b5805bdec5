"""Fixtures of finished runs, as training leaves them, without having trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished import finished_run, write_photos

from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path)


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Path:
    """A run of SimCLR on `photos`, whose every weight has moved from its initial value."""
    return finished_run(tmp_path / "run", photos, SimCLRConfig(), ConvNetConfig(width=2))
