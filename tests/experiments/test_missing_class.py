"""A class without test pictures has no accuracy: null in strict JSON, and said nowhere as 100 %."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import Sslcli, facts, only_run

from sslcli.runs.results import read_results

WORDS = {
    "linear-eval": ["l2=[1e-2,1e-1]", "baselines=false"],
    "finetune": ["training.epochs=1", "training.steps=1", "training.batch_size=8"],
}


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("command", WORDS)
def test_a_class_without_test_pictures_is_null(
    sslcli: Sslcli, coloured: Path, tmp_path: Path, command: str
) -> None:
    with np.load(tmp_path / "pictures.npz") as file:
        arrays: dict[str, Any] = dict(file)
    there = arrays["y_test"] != 2
    arrays["x_test"], arrays["y_test"] = arrays["x_test"][there], arrays["y_test"][there]
    np.savez(tmp_path / "fewer.npz", **arrays)
    data = ["data=arrays", "data.root=fewer.npz", "runtime.threads=1"]
    outcome = sslcli(command, "run=last", *data, *WORDS[command])
    assert outcome.status == 0, outcome.err
    assert "top-5" not in outcome.out, "there are three classes"
    run = only_run(tmp_path / "outputs" / command)
    json.loads((run / "results.json").read_text(), parse_constant=refuse)
    row = read_results(run).rows[0]
    assert row.per_class[2] is None
    assert None not in row.per_class[:2]
    assert "top5" not in row.scores
    assert "top5" not in facts(run)["metrics"]
    assert sslcli("report", str(run)).status == 0
