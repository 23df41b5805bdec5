"""diagnostics.json is written and read as one type; files of before it was one still load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sslcli.errors import SslcliError
from sslcli.runs.diagnostics import (
    FILE,
    FOLDER,
    Diagnostics,
    FeatureScores,
    ViewScores,
    read_diagnostics,
    write_diagnostics,
)

SCORES = FeatureScores(0.5, 3.25, -1.5, 0.0, [2.0, 1.0], [1.0, 0.5, 1e-9])
VIEWS = ViewScores(0.25, 1.75, 2.5, {"pictures": 500, "of_each": 10})
FOUND = Diagnostics("/runs/a", SCORES, VIEWS, ["a word"], {"pictures": "1000 of validation"})
WRITTEN_BEFORE = """{
  "run": "/runs/a",
  "feature_std": 0.5,
  "effective_rank": 3.25,
  "uniformity": -1.5,
  "dead_dimensions": 0.0,
  "spectrum": [
    2.0,
    1.0
  ],
  "dimension_std": [
    1.0,
    0.5,
    1e-09
  ],
  "alignment": 0.25,
  "separation": 1.75,
  "lidar": 2.5,
  "views": {
    "pictures": 500,
    "of_each": 10
  },
  "words": [
    "a word"
  ],
  "protocol": {
    "pictures": "1000 of validation"
  }
}
"""
"""By sslcli 0.1.0."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    return tmp_path / FOLDER / FILE


@pytest.mark.parametrize("found", [FOUND, replace(FOUND, of_views=None, warnings=[])])
def test_what_is_written_is_read(tmp_path: Path, file: Path, found: Diagnostics) -> None:
    write_diagnostics(file.parent, found)
    assert read_diagnostics(tmp_path) == found


def test_a_file_of_before_is_the_same_file(tmp_path: Path, file: Path) -> None:
    file.write_text(WRITTEN_BEFORE)
    assert read_diagnostics(tmp_path) == FOUND
    write_diagnostics(file.parent, FOUND)
    assert file.read_text() == WRITTEN_BEFORE


def test_its_numbers_are_those_of_pictures_and_of_views() -> None:
    assert SCORES.width == 3
    of_pictures = {
        "feature_std": 0.5,
        "effective_rank": 3.25,
        "uniformity": -1.5,
        "dead_dimensions": 0.0,
    }
    of_views = {"alignment": 0.25, "separation": 1.75, "lidar": 2.5}
    assert FOUND.numbers() == {**of_pictures, **of_views}
    assert replace(FOUND, of_views=None).numbers() == of_pictures


def test_a_run_that_was_not_diagnosed_has_none(tmp_path: Path) -> None:
    assert read_diagnostics(tmp_path) is None


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path, file: Path) -> None:
    file.write_text(json.dumps({**json.loads(WRITTEN_BEFORE), "curvature": [1, 2]}))
    assert read_diagnostics(tmp_path) == FOUND


@pytest.mark.parametrize(
    "change",
    [
        {"uniformity": "low"},
        {"uniformity": None},
        {"spectrum": [1.0, "x"]},
        {"spectrum": 3},
        {"views": {"pictures": 500}},
        {"views": 3},
        {"words": None},
        {"protocol": ["x"]},
        {"lidar": float("nan")},
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: Path, change: dict[str, Any]) -> None:
    file.write_text(json.dumps({**json.loads(WRITTEN_BEFORE), **change}))
    with pytest.raises(SslcliError, match=r"diagnostics\.json cannot be read"):
        read_diagnostics(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_a_file_that_holds_no_diagnostics_is_named(
    tmp_path: Path, file: Path, content: str
) -> None:
    file.write_text(content)
    with pytest.raises(SslcliError, match=r"diagnostics\.json cannot be read"):
        read_diagnostics(tmp_path)
