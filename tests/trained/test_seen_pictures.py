"""Test pictures that a run was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sslcli.data.folder import FolderConfig
from sslcli.trained import data
from sslcli.trained.data import seen_in_training

OWN = {"test_fraction": 0.2, "groups": "1"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, False),
        ({"resolution": 16, "depth": 8}, False),
        ({"root": "other"}, False),
        ({"test_fraction": 0.0}, False),
        ({"test_fraction": 0.3}, True),
        ({"split_seed": 1}, True),
        ({"groups": "2"}, True),
        ({"tile": 8}, True),
    ],
)
def test_they_are_told_where_others_are_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: dict[str, Any], told: bool
) -> None:
    """Whatever deals pictures out to parts in another way; how they are read does not."""
    monkeypatch.chdir(tmp_path)
    own = FolderConfig(root="photos", **OWN)
    monkeypatch.setattr(data, "run_data_config", lambda files, chosen: own)
    chosen = FolderConfig(**{"root": str(tmp_path / "photos"), **OWN, **changed})
    assert (seen_in_training(chosen, None) is not None) is told  # type: ignore[arg-type]
