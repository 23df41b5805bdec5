"""`sslcli runs` on folders as runs leave them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from doubles import HOSTILE_NAMES, Outcome, Sslcli, make_run, measured

from sslcli.runs.folder import Run
from sslcli.runs.summary import (
    Summary,
    best_of,
    differing,
    repetitions,
    spread,
)
from sslcli.text import as_word


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    outputs = tmp_path / "outputs"
    make_run(outputs / "a/one", started=1e9, **measured(0.5, loss=2.0))
    make_run(outputs / "a/two", started=1.2e9, temperature=0.2, **measured(0.7, loss=3.0))
    make_run(
        outputs / "b/three",
        started=1.3e9,
        method="dae",
        temperature=None,
        status="failed",
        error="went\nwrong",
    )
    make_run(outputs / "b/four", started=1.4e9, status="running", step=3, derived={"num_steps": 9})
    return outputs


def names(outcome: Outcome) -> list[str]:
    assert outcome.status == 0, outcome.err
    return [line.split()[0] for line in outcome.out.splitlines()[1:-1]]


def test_lists_the_newest_first(sslcli: Sslcli, outputs: Path) -> None:
    outcome = sslcli("runs")
    assert names(outcome) == ["four", "three", "two", "one"]
    lines = outcome.out.splitlines()
    assert lines[1].split()[1:5] == ["died", "pretrain", "simclr", "fashion_sample"]
    assert lines[1].endswith("step 3 of 9")
    assert lines[2].endswith("went\\nwrong")
    assert lines[3].endswith("knn accuracy 0.7")
    assert lines[-1] == "4 runs under outputs"
    with Run(outputs / "b/four"):
        assert "running" in sslcli("runs").out.splitlines()[1]


def test_a_name_that_several_have_is_a_path(sslcli: Sslcli, outputs: Path) -> None:
    make_run(outputs / "c/one", started=0)
    assert names(sslcli("runs", "status=finished")) == ["two", "outputs/a/one", "outputs/c/one"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["method=simclr"], ["four", "two", "one"]),
        (["method=simclr", "status=died"], ["four"]),
        (["method.temperature=0.2"], ["two"]),
        (["method.temperature=2e-1"], ["two"]),
        (["method.size=[1.0, 2.0]", "status=failed"], ["three"]),
        (["method.views=null", "command=pretrain", "seed=0"], ["four", "three", "two", "one"]),
        (["method=other"], []),
        (["outputs/a"], ["two", "one"]),
        (["outputs/b", "--sort", "method"], ["three", "four"]),
        (["--sort", "-knn_accuracy"], ["two", "one", "four", "three"]),
        (["--sort", "knn_accuracy"], ["one", "two", "four", "three"]),
        (["--sort=-method.temperature", "status=finished"], ["one", "two"]),
        (["status=finished", "--sort", "started", "method=simclr"], ["one", "two"]),
    ],
)
def test_chooses_and_sorts(
    sslcli: Sslcli, outputs: Path, words: list[str], expected: list[str]
) -> None:
    assert names(sslcli("runs", *words)) == expected


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (["nothing"], "there is no folder", "name the folder of yours"),
        (["nothing", "method=simclr"], "there is no folder", "name the folder of yours"),
        (["outputs", "simclr"], "'simclr' says nothing that a run must have", "key=value"),
        (["=x"], "'=x' says nothing", "key=value"),
        (["metod=simclr"], "no run has a 'metod'", "did you mean method"),
        (["temperature=0.2"], "no run has a 'temperature'", "did you mean method.temperature?"),
        (["--sort", "statsu"], "no run has a 'statsu'", "did you mean status"),
        (["--sort"], "expected one argument", "usage: sslcli runs"),
        (["--json", "--csv"], "not allowed with", "usage: sslcli runs"),
    ],
)
def test_mistakes(sslcli: Sslcli, outputs: Path, words: list[str], message: str, fix: str) -> None:
    outcome = sslcli("runs", *words)
    assert outcome.status == 2
    error, advice = outcome.err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert fix in advice


def test_without_a_config_a_run_is_listed_but_has_no_settings(
    sslcli: Sslcli, outputs: Path
) -> None:
    (outputs / "a/two/config.yaml").unlink()
    assert names(sslcli("runs", "status=finished")) == ["two", "one"]
    assert names(sslcli("runs", "seed=0", "status=finished")) == ["one"]


def test_configs_are_read_only_of_runs_that_are_left(
    sslcli: Sslcli, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    settings = Summary.settings.func

    def noting(run: Summary) -> dict[str, Any]:
        read.append(run.folder)
        return dict(settings(run))

    monkeypatch.setattr(Summary, "settings", property(noting))
    assert names(sslcli("runs", "method.temperature=0.2", "status=finished")) == ["two"]
    assert {folder.name for folder in read} == {"one", "two"}


def test_json_and_csv(sslcli: Sslcli, outputs: Path) -> None:
    (outputs / "b/three/run.json").write_text("{")
    found = json.loads(sslcli("runs", "--json").out)
    assert [Path(run["run"]).name for run in found] == [
        "three",
        "four",
        "two",
        "one",
    ]  # by the file, where it tells no time
    assert [run["status"] for run in found] == ["damaged", "died", "finished", "finished"]
    rows = list(csv.DictReader(io.StringIO(sslcli("runs", "--csv", "status=finished").out)))
    assert [row["run"] for row in rows] == ["outputs/a/two", "outputs/a/one"]
    assert rows[0] | {"started": ""} == {
        "run": "outputs/a/two", "status": "finished", "command": "pretrain", "started": "", "seconds": "5.0",
        "method": "simclr", "data": "fashion_sample", "knn_accuracy": "0.7", "loss": "3.0",
    }  # fmt: skip
    assert json.loads(sslcli("runs", "--json", "method=other").out) == []


def test_no_runs(sslcli: Sslcli, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    assert names(sslcli("runs", "anything=at-all", "--sort", "loss")) == []


def test_names_that_could_do_harm(sslcli: Sslcli, tmp_path: Path) -> None:
    for name in HOSTILE_NAMES:
        make_run(tmp_path / "outputs" / name)
    out = sslcli("runs").out
    assert out.splitlines()[-1] == "8 runs under outputs"
    for shown in (
        "with space",
        "quo'te\"s",
        "new\\nline",
        "ünï—字",
        "[bold]x",
        "a*b?[c]",
        "\\x1b[2J",
        "b\\udcffd",
    ):
        assert f"{shown} " in out
    assert {Path(run["run"]).name for run in json.loads(sslcli("runs", "--json").out)} == set(
        HOSTILE_NAMES
    )
    assert len(list(csv.reader(io.StringIO(sslcli("runs", "--csv").out)))) == 9
    assert "0 of 8 runs" in sslcli("runs", "method=new\nline").out


def test_facts_of_another_kind_than_expected(sslcli: Sslcli, outputs: Path) -> None:
    for index, facts in enumerate(
        (
            {"started": "now"},
            {"metrics": 3},
            {"choices": []},
            {"started": 1e30},
            {},
            {
                "metrics": {"loss": "x", "top1": 0.5},
                "validation": "loss",
                "choices": {"method": [1]},
            },
        )
    ):
        folder = outputs / f"odd-{index}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(facts))
    outcome = sslcli("runs")
    assert sum("damaged" in line for line in outcome.out.splitlines()) == 3
    assert outcome.out.splitlines()[-1] == "10 runs under outputs"


def test_what_a_run_was_bound_to_lack_does_not_differ(tmp_path: Path) -> None:
    simclr = [Summary.of(make_run(tmp_path / f"s{seed}", seed=seed)) for seed in (0, 1)]
    other = Summary.of(make_run(tmp_path / "d", method="dae", temperature=None))
    assert differing([*simclr, other], ["seed"]) == ["method"]
    older = Summary.of(make_run(tmp_path / "o", temperature=None))
    assert differing([*simclr, older]) == ["method.temperature", "seed"]
    assert differing(simclr, ["seed"]) == []
    assert [len(group) for group in repetitions([*simclr, other], ["method"]).values()] == [2, 1]


def test_the_best_is_chosen_by_validation_on_the_same_data(tmp_path: Path) -> None:
    def group(name: str, values: list[float], **facts: Any) -> list[Summary]:
        runs = [
            make_run(tmp_path / f"{name}{i}", **{**measured(v, top1=-v), **facts})
            for i, v in enumerate(values)
        ]
        return [Summary.of(run) for run in runs]

    low, high = group("low", [0.1, 0.2]), group("high", [0.3])
    waiting = group("waiting", [0.0], metrics={}, validation=None)
    assert best_of([low, high, waiting])[1] == 1
    smaller = {"validation": {"metric": "top1", "larger_is_better": False}}
    assert best_of([group("c", [0.1], **smaller), group("d", [0.4], **smaller)])[1] == 1
    other_data = group("f", [0.4], data={"fingerprint": "x"})
    none = [group("g", [0.1], validation=None), group("h", [0.2], validation=None)]
    for groups in (
        [low, group("e", [0.4], **smaller)],
        [low, waiting],
        [waiting],
        [low, other_data],
        none,
    ):
        choice = best_of(groups)
        assert choice.best is None
        assert choice.reason


def test_a_spread_is_of_the_runs_that_measured_it(tmp_path: Path) -> None:
    runs = [Summary.of(make_run(tmp_path / f"{v}", **measured(v))) for v in (1.0, 2.0, 3.0)]
    runs.append(Summary.of(make_run(tmp_path / "none", status="failed")))
    assert spread(runs, "knn_accuracy") == (2.0, 1.0, 3)
    assert str(spread(runs[:1], "knn_accuracy")) == "1"
    assert str(spread(runs, "knn_accuracy")) == "2 ± 1"
    assert spread(runs, "other") is None


def test_values_as_typed() -> None:
    assert [as_word(value) for value in (None, True, 0.5, [1.0, 2], "x y")] == [
        "null",
        "true",
        "0.5",
        "[1.0,2]",
        "x y",
    ]
