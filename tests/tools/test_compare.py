"""`sslcli compare` on folders as runs leave them: what differs, mean and deviation over seeds, the best, and the curves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from doubles import HOSTILE_NAMES, Outcome, Sslcli, make_run, measured
from PIL import Image

from sslcli.report import run_curves
from sslcli.report.run_curves import save_run_curves
from sslcli.report.style import COLOURS, MAX_LINES


def with_records(run: Path, values: Sequence[float]) -> Path:
    records = [
        {"phase": "pretrain", "step": i, "epoch": i / 2, "loss": value, "knn_accuracy": 1 - value}
        for i, value in enumerate(values)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return run


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    sweep = tmp_path / "outputs/pretrain/sweeps/first"
    values = {(0.2, 0): 0.5, (0.2, 1): 0.7, (0.5, 0): 0.4, (0.5, 1): 0.9}
    for number, ((temperature, seed), value) in enumerate(values.items()):
        run = make_run(
            sweep / f"{number:03d}-job",
            temperature=temperature,
            seed=seed,
            started=number,
            **measured(value),
        )
        with_records(run, [0.9, 0.5, 1 - value])
    return sweep


def lines_of(outcome: Outcome) -> dict[str, list[str]]:
    """The cells of the table by the line's name."""
    assert outcome.status == 0, outcome.err
    cells = [line.split("  ") for line in outcome.out.splitlines()]
    return {line[0]: [cell.strip() for cell in line[1:] if cell.strip()] for line in cells}


def test_a_sweep_is_compared_setting_by_setting(
    sslcli: Sslcli, sweep: Path, tmp_path: Path
) -> None:
    outcome = sslcli("compare", str(sweep))
    lines = lines_of(outcome)
    assert lines[""] == ["A", "B"]
    assert lines["method.temperature"] == ["0.2", "0.5"]
    assert lines["seed"] == ["0, 1", "0, 1"]
    assert lines["runs finished"] == ["2", "2"]
    assert lines["knn accuracy"] == ["0.6 ± 0.14", "0.65 ± 0.35 *"]
    assert "method.views" not in lines
    assert "A: 000-job, 001-job" in outcome.out
    assert "* the best by knn accuracy, measured on validation (larger is better)" in outcome.out
    (picture,) = (tmp_path / "outputs/comparisons").iterdir()
    assert f"curves: {picture.relative_to(tmp_path)}" in outcome.out
    with Image.open(picture) as opened:
        assert opened.format == "PNG"
        assert opened.width > 1.5 * opened.height  # two panels


def test_the_same_as_json(sslcli: Sslcli, sweep: Path, tmp_path: Path) -> None:
    found = json.loads(sslcli("compare", str(sweep), "--json").out)
    assert found["differing"] == ["method.temperature"]
    assert found["best"] == 1
    assert found["validation"] == {
        "metric": "knn_accuracy",
        "larger_is_better": True,
        "given": None,
    }
    assert [group["seeds"] for group in found["groups"]] == [[0, 1], [0, 1]]
    assert found["groups"][0]["metrics"]["knn_accuracy"] == pytest.approx(
        {"mean": 0.6, "sd": 0.02**0.5, "n": 2}
    )
    assert found["curves"] is None
    assert not (tmp_path / "outputs/comparisons").exists()
    found = json.loads(sslcli("compare", str(sweep), "--json", "--output", "c.png").out)
    assert found["curves"] == str(tmp_path / "c.png")
    assert (tmp_path / "c.png").exists()


def test_runs_that_differ_in_the_seed_alone_are_one(sslcli: Sslcli, sweep: Path) -> None:
    outcome = sslcli("compare", "000", "001")
    assert lines_of(outcome)["knn accuracy"] == ["0.6 ± 0.14"]
    assert "the runs differ in no setting but the seed" in outcome.out
    assert "none is marked as the best: there is one row" in outcome.out
    assert "twice" not in outcome.out
    shutil.copytree(sweep / "000-job", sweep / "again")
    assert "a seed that is there twice counts twice" in sslcli("compare", "000", "again").out


def test_what_is_not_finished_is_no_part_of_the_mean(sslcli: Sslcli, sweep: Path) -> None:
    make_run(sweep / "004-job", temperature=0.2, seed=2, started=9, status="failed")
    lines = lines_of(sslcli("compare", str(sweep)))
    assert lines["knn accuracy"][0] == "0.6 ± 0.14"
    assert lines["runs finished"] == ["2 of 3", "2"]
    assert lines["status"] == ["finished, failed", "finished"]


def test_the_test_set_never_chooses(sslcli: Sslcli, tmp_path: Path) -> None:
    for name, (val, test) in {"one": (0.5, 0.9), "two": (0.6, 0.1)}.items():
        make_run(tmp_path / "outputs" / name, temperature=val, **measured(val, top1=test))
    lines = lines_of(sslcli("compare", "one", "two"))
    assert lines["knn accuracy"] == ["0.5", "0.6 *"]
    assert lines["top1"] == ["0.9", "0.1"]


def test_different_commands_and_methods(sslcli: Sslcli, sweep: Path) -> None:
    make_run(
        sweep / "probe",
        command="linear-eval",
        temperature=None,
        started=8,
        metrics={"top1": 0.5, "knn_accuracy": 0.3},
    )
    outcome = sslcli("compare", "000", "probe")
    lines = lines_of(outcome)
    assert lines["command"] == ["pretrain", "linear-eval"]
    assert lines["top1"] == ["–", "0.5"]
    assert "metrics that pretrain and linear-eval share: knn_accuracy" in outcome.out
    assert "none is marked as the best: they have no validation metric in common" in outcome.out
    make_run(sweep / "other", method="dae", temperature=None, started=9, **measured(0.3))
    lines = lines_of(sslcli("compare", "000", "other"))
    assert lines["method"] == ["simclr", "dae"]
    assert "method.temperature" not in lines  # it goes without saying


def test_many_are_a_line_each(sslcli: Sslcli, tmp_path: Path) -> None:
    for number in range(28):
        make_run(
            tmp_path / f"outputs/run-{number:02d}",
            temperature=number,
            started=number,
            **measured(number / 100),
        )
    lines = lines_of(sslcli("compare", "outputs"))
    assert lines[""] == ["method.temperature", "knn accuracy"]
    assert lines["A"] == ["0.0", "0"] or lines["A"] == ["0", "0"]
    assert lines["AB"][-1] == "0.27 *"


def test_where_runs_lie_is_no_setting(sslcli: Sslcli, sweep: Path) -> None:
    for number, place in ((0, "here"), (1, "there")):
        config = sweep / f"00{number}-job/config.yaml"
        config.write_text(config.read_text() + f"runtime:\n  outputs: {place}\n")
    assert lines_of(sslcli("compare", "000", "001"))["runs finished"] == ["2"]


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (["000"], "1 run cannot be compared", "name two"),
        (["000", "last", "outputs/pretrain/sweeps/first/000-job"], None, ""),
        (["000", "outputs/pretrain/sweeps/first/000-job/"], "1 run cannot be compared", "name two"),
        (["000", "nothing"], "no run is named 'nothing'", "sslcli runs"),
        (["000", "empty"], "empty holds no runs", "sslcli runs"),
        (["000", "bare"], "bare/config.yaml", ""),
        (["000", "001", "--output", "c.pdf"], "c.pdf is no name for a picture", ".png"),
        (["000", "001", "--output", "taken.png"], "taken.png exists already", "--force"),
        ([], "required: RUN", "usage"),
    ],
)
def test_mistakes(
    sslcli: Sslcli, sweep: Path, tmp_path: Path, words: list[str], message: str | None, fix: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken.png").write_text("mine")
    (make_run(tmp_path / "bare") / "config.yaml").unlink()
    outcome = sslcli("compare", *words)
    assert outcome.status == (0 if message is None else 2)
    if message is not None:
        error, advice = outcome.err.splitlines()
        assert message in error
        assert fix in advice
        assert (tmp_path / "taken.png").read_text() == "mine"
        assert not (tmp_path / "outputs/comparisons").exists()


def test_overwrites_only_when_told(sslcli: Sslcli, sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.png").write_text("mine")
    assert sslcli("compare", "000", "--output", "taken.png", "--force", "001").status == 0
    assert (tmp_path / "taken.png").read_bytes().startswith(b"\x89PNG")


def test_a_job_that_was_refused_is_left_out_of_its_folder(sslcli: Sslcli, sweep: Path) -> None:
    (sweep / "004-refused").mkdir()
    (sweep / "004-refused/run.json").write_text(
        '{"status": "failed", "error": "method.temperature must be positive"}'
    )
    outcome = sslcli("compare", str(sweep))
    assert lines_of(outcome)["runs finished"] == ["2", "2"]
    assert "004-refused is left out: it has no config.yaml" in outcome.err


def test_runs_without_curves(sslcli: Sslcli, sweep: Path, tmp_path: Path) -> None:
    for run in ("000-job", "001-job"):
        (sweep / run / "metrics.jsonl").unlink()
    outcome = sslcli("compare", "000", "001", "--output", "c.png")
    assert outcome.status == 0
    assert "no curves" in outcome.err
    assert not (tmp_path / "c.png").exists()
    (sweep / "000-job/metrics.jsonl").write_text("{\n\n")
    assert "its metrics.jsonl is damaged" in sslcli("compare", "000", "001").err


def test_any_name_can_be_compared(sslcli: Sslcli, tmp_path: Path) -> None:
    for number, name in enumerate(HOSTILE_NAMES):
        run = make_run(
            tmp_path / "outputs" / name, method="$dae$", temperature=number, **measured(0.1)
        )
        with_records(run, [1, 2])
    outcome = sslcli("compare", *(f"outputs/{name}" for name in HOSTILE_NAMES))
    assert outcome.status == 0, outcome.err
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
        assert f": {shown}\n" in outcome.out


def curve(*values: float | None, phase: str = "p") -> list[dict[str, object]]:
    return [{"phase": phase, "epoch": i, "loss": value} for i, value in enumerate(values)]


def test_repetitions_are_thin_lines_and_their_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, list[float]]] = []
    monkeypatch.setattr(
        "matplotlib.axes.Axes.plot",
        lambda _, x, y, line, **how: drawn.append((how["color"] + line, list(y))),
    )
    groups = {"A": [curve(1, 2, 3), curve(3, 4)], "B": [curve(5, None, float("nan"), 6)]}
    assert save_run_curves(tmp_path / "c.png", groups, ["loss", "other"]) == 1
    first, second = (f"{COLOURS[index]}-" for index in (0, 1))
    assert drawn == [(first, [1, 2, 3]), (first, [3, 4]), (first, [2, 3]), (second, [5, 6])]


def test_every_phase_has_a_panel_up_to_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_curves, "MAX_PANELS", 2)
    records = [record for phase in "abc" for record in curve(1, phase=phase)]
    groups = {f"$\n{index}": [records if index == 0 else []] for index in range(MAX_LINES + 1)}
    assert save_run_curves(tmp_path / "c.png", groups, ["loss"]) == 3
    with Image.open(tmp_path / "c.png") as opened:
        assert opened.width > 1.5 * opened.height
    assert save_run_curves(tmp_path / "none.png", {"A": [[]]}, ["loss"]) == 0
    assert not (tmp_path / "none.png").exists()
