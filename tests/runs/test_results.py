"""results.json and evaluations.jsonl: written, read back as the same, and as 0.1.0 wrote them."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.experiments.label_curve_cells import Cell
from sslcli.runs.evaluations import Evaluation, append_evaluation, read_evaluations
from sslcli.runs.results import (
    Protocol,
    Results,
    Row,
    read_part,
    read_results,
    score,
    write_results,
)

WRITTEN = Path(__file__).parent.parent / "written_by_0_1_0"
RESULTS = Results(
    "linear-eval",
    Protocol("8 test pictures", "0f", "4 labels", "2 pictures", {"knn_k": 3, "probe": "L-BFGS"}),
    [
        Row("trained_encoder", {"top1": 0.5, "knn": None}, {"l2": 0.1}, 1.5, {"0.1": 0.4}),
        Row("raw_pixels", {"top1": 0.25}, per_class=[0.5, None], confusion=[[1, 1], [0, 0]]),
    ],
    ["/runs/a"],
    {"labels": 0.1, "seed": 0, "ceiling": None},
    ["cat", "dog"],
)
"""With what differs between commands, and with scores that could not be measured."""


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    write_results(tmp_path, RESULTS)
    assert read_results(tmp_path) == RESULTS
    rows = strict((tmp_path / "results.json").read_text())["rows"]
    assert rows[0]["scores"]["knn"] is None
    assert rows[1]["per_class"] == [0.5, None]


def test_a_score_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    assert [score(value) for value in (0.5, math.nan)] == [0.5, None]
    with pytest.raises(ValueError, match="mine: scores expected"):
        Row("mine", {"top1": math.nan})
    protocol = replace(RESULTS.protocol, details={"knn_k": math.inf})
    with pytest.raises(ValueError, match="JSON"):
        write_results(tmp_path, replace(RESULTS, protocol=protocol))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "results.json cannot be read"),
        ("[]", "it holds no results"),
        ('{"format": 3, "rows": [], "protocol": {}}', "it holds no results"),
        ('{"format": 2, "rows": []}', "'protocol'"),
        ('{"format": 2, "rows": [{"name": "a"}], "protocol": {}}', "it holds no results"),
        ('{"results": {"a": 1}}', "it holds no results"),
    ],
)
def test_damaged_results_are_named(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(SslcliError) as refused:
        read_results(tmp_path)
    assert "results.json cannot be read" in refused.value.message
    assert why in refused.value.message


def test_missing_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match=r"results\.json is not there"):
        read_results(tmp_path)


def test_a_linear_evaluation_of_0_1_0_is_read() -> None:
    (path,) = WRITTEN.rglob("results.json")
    results = read_results(path.parent)
    (row,) = results.rows
    assert (results.command, row.name) == ("linear-eval", "trained_encoder")
    assert row.scores == {"top1": 0.241, "top5": 0.7285, "knn": 0.233, "val_top1": 0.24}
    assert row.settings == {"l2": 0.01, "width": 16}
    assert (row.seconds, row.candidates, len(row.confusion)) == (0.124, {"0.01": 0.24}, 10)
    assert results.settings["labels"] == 1.0
    assert len(results.runs) == 1
    assert results.protocol.trained_on == "64 training labels"
    assert results.protocol.tested_on == "2000 test pictures, once"
    assert results.protocol.data_fingerprint == "89c42e4015c7aef1"
    assert results.protocol.details["knn_k"] == 20


CELL = {
    "run": 0, "kind": "raw_pixels", "amount": 0.1, "num_labels": 9, "seed": 0, "top1": 0.5,
    "val_top1": 0.4, "chosen": "l2 0.1, by validation",
}  # fmt: skip
NETWORK = {
    "pretraining": "none", "depth": 1, "seed": 0, "val_error": 9.0, "test_error": None, "epochs": 2.0,
}  # fmt: skip
TUNED = {
    "top1": 0.5, "val_top1": 0.4, "classes": ["a", "b"], "per_class": [0.5, math.nan],
    "protocol": {"network": "all", "trained_on": "9 labels", "data_fingerprint": "0f"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "command", "name", "scores"),
    [
        (
            {"protocol": {"runs": ["/a"], "tested_on": "8", "l2": [0.1, 1.0]}, "cells": [CELL]},
            "label-curve",
            "raw_pixels",
            {"top1": 0.5, "val_top1": 0.4},
        ),
        (
            {"protocol": {"tested_on": "8"}, "networks": [NETWORK]},
            "stack-pretrain",
            "none",
            {"val_error": 9.0, "test_error": None},
        ),
        (
            {"run": "/a", "init": "run", "labels": 1.0, "seed": 0, "results": TUNED},
            "finetune",
            "finetuned",
            {"top1": 0.5, "val_top1": 0.4},
        ),
        (
            {"protocol": {"scored_on": "8"}, "results": {"mean": {"l1": 1.0, "l2": 2.0}}},
            "inpaint",
            "mean",
            {"l1": 1.0, "l2": 2.0},
        ),
    ],
)
def test_other_results_of_0_1_0_are_read(
    tmp_path: Path, content: Any, command: str, name: str, scores: dict[str, float]
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(content))  # with a bare NaN, as then
    results = read_results(tmp_path)
    (row,) = results.rows
    assert (results.command, row.name, row.scores) == (command, name, scores)
    if command in ("label-curve", "finetune"):
        assert results.runs == ["/a"]
    if command == "finetune":
        assert (row.per_class, results.classes) == ([0.5, None], ["a", "b"])
        assert results.protocol.trained_on == "9 labels"
    if command == "inpaint":
        assert results.protocol.tested_on == "8"
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results


def test_a_torn_line_swallows_no_evaluation(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    (tmp_path / "evaluations.jsonl").write_text('{"command": "linear-eval", "run": "/x", "set')
    evaluation = Evaluation("finetune", "/y", {"labels": 1.0}, {"top1": 0.9})
    append_evaluation(tmp_path, evaluation, Console(out, err))
    torn = ["line 1 of evaluations.jsonl cannot be read"]
    assert read_evaluations(tmp_path) == ([evaluation], torn)
    again = replace(evaluation, metrics={"top1": 0.8})
    other = replace(evaluation, settings={"labels": 0.1})
    for later in (other, again):
        append_evaluation(tmp_path, later, Console(out, err))
    assert read_evaluations(tmp_path) == ([other, again], torn)
    assert err.getvalue() == ""


def test_evaluations_are_read_back_and_a_damaged_line_is_named(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path) == ([], [])
    evaluation = Evaluation("finetune", "/b", {"labels": 0.1, "init": "run"}, {"top1": 0.5})
    old = {"command": "linear-eval", "run": "/c", "labels": 1.0, "seed": 0, "top1": 0.25}
    out, err = io.StringIO(), io.StringIO()
    append_evaluation(tmp_path, evaluation, Console(out, err))
    with (tmp_path / "evaluations.jsonl").open("a") as file:
        file.write(json.dumps(old) + '\n{"command": "x", "metrics": {"a": "b"}}\n[]\n')
    append_evaluation(tmp_path, evaluation, Console(out, err))
    evaluations, unreadable = read_evaluations(tmp_path)
    assert evaluations == [
        evaluation,
        Evaluation("linear-eval", "/c", {"labels": 1.0, "seed": 0}, {"top1": 0.25}),
    ], "what is appended again, as its run was resumed, is there once"
    assert unreadable == [f"line {n} of evaluations.jsonl cannot be read" for n in (3, 4)]
    assert err.getvalue() == ""


@pytest.mark.parametrize("content", ["", '{"run": 0, "kind', "[1]", '{"other": 1}', "\xff"])
def test_a_damaged_part_says_what_to_remove(tmp_path: Path, content: str) -> None:
    part = tmp_path / "0-linear_probe/result.json"
    part.parent.mkdir()
    part.write_bytes(content.encode("latin-1"))
    with pytest.raises(SslcliError, match=r"0-linear_probe/result\.json cannot be read") as said:
        read_part(part, Cell)
    assert said.value.fix.endswith(f"rm {part}")
