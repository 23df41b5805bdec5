"""Fixtures of finished runs, as training leaves them, without having trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doubles import pictures
from finished import finished_run

from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """24 pictures of two classes."""
    path = tmp_path / "photos.npz"
    np.savez(path, x_train=pictures().images[:], y_train=np.arange(24) % 2)
    return path


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Path:
    """A run of SimCLR on `photos`, whose every weight has moved from its initial value."""
    return finished_run(tmp_path / "run", photos, SimCLRConfig(), ConvNetConfig(width=2))
