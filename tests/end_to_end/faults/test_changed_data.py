"""A run whose data changed goes on only where that is allowed."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from doubles import Sslcli, facts, only_run, require_two_lines
from forks import WORDS, forked, in_outputs, killed_after
from PIL import Image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(40):
        folder = tmp_path / "photos" / str(index % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
            folder / f"{index}.png"
        )
    return tmp_path / "photos"


def test_data_that_changed(sslcli: Sslcli, photos: Path, tmp_path: Path) -> None:
    words = [word for word in WORDS if not word.startswith("data.")]
    words += ["data=folder", f"data.root={photos}", "data.resolution=16", "batch_size=8"]
    assert forked(in_outputs(words, tmp_path / "outputs"), killed_after(7)) == -signal.SIGKILL
    run = only_run(tmp_path / "outputs")
    before = facts(run)["data"]["fingerprint"]
    shutil.copy(photos / "0/0.png", photos / "1/0.png")

    outcome = sslcli("resume", str(run))
    assert outcome.status == 2
    fix = require_two_lines(outcome, "the data changed since the run began", before)
    assert facts(run)["data"]["fingerprint"] == before
    outcome = sslcli(*shlex.split(fix.partition("sslcli ")[2]))
    assert outcome.status == 0, outcome.err
    found = facts(run)
    assert found["status"] == "finished"
    assert found["data"]["fingerprint"] != before
    assert found["data_before"] == [{"fingerprint": before, "until_step": 6}]

    (run / "run.json").write_text(json.dumps({**found, "status": "interrupted"}))
    (photos / "1/0.png").unlink()
    require_two_lines(
        sslcli("resume", str(run)), "the data changed"
    )  # allowed once is not allowed for ever
