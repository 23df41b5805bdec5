"""`profile=true`, end to end: what it leaves, that the training is the same, and where it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doubles import TINY, Sslcli, only_run


@pytest.mark.slow
def test_a_profile_tells_the_parts_and_changes_nothing(sslcli: Sslcli, tmp_path: Path) -> None:
    words = ["pretrain", *TINY, "epochs=5", "data.limit=64", "batch_size=14"]
    assert sslcli(*words, "profile=true", "runtime.outputs=profiled").status == 0
    assert sslcli(*words, "runtime.outputs=plain").status == 0
    profiled, plain = only_run(tmp_path / "profiled"), only_run(tmp_path / "plain")
    table = (profiled / "profile/table.txt").read_text()
    parts = {line.split()[0]: float(line.split()[1]) for line in table.splitlines()[1:4]}
    assert parts.keys() == {"views", "train_step", "minimize"}
    assert 0 < parts["minimize"] < parts["train_step"]
    assert "aten::" in table
    events = json.loads((profiled / "profile/trace.json").read_text())["traceEvents"]
    assert sum(event.get("name") == "minimize" for event in events) == 10
    weights = [(run / "encoder.safetensors").read_bytes() for run in (profiled, plain)]
    assert weights[0] == weights[1]


def test_a_run_too_short_to_be_profiled_is_refused(sslcli: Sslcli) -> None:
    outcome = sslcli("pretrain", *TINY, "profile=true")
    assert outcome.status == 2
    assert "17 steps, here" in outcome.err
