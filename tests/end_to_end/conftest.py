"""Fixtures of runs that something happens to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from doubles import facts


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A run under outputs/ that can be resumed from its last checkpoint."""
    copy = Path(shutil.copytree(made, tmp_path / "outputs/pretrain/simclr-fashion_sample/run"))
    (copy / "run.json").write_text(json.dumps({**facts(copy), "status": "interrupted"}))
    return copy
