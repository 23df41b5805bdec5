"""Fixtures of tests that copy what is shown: runs in folders of any name, where commands are typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from doubles import facts


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands are typed."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(made: Path, here: Path) -> Callable[[str], Path]:
    """Makes an interrupted run in a folder of this name, without weights."""

    def make(name: str) -> Path:
        folder = Path(name)
        folder.mkdir()
        shutil.copy(made / "config.yaml", folder)
        shutil.copy(made / "encoder.json", folder)
        told = {
            **facts(made),
            "status": "interrupted",
            "metrics": {},
            "validation": None,
            "trained": {},
        }
        (folder / "run.json").write_text(json.dumps(told))
        return folder

    return make
