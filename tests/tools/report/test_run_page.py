"""The page of a run in every state, whatever its files and names hold."""

from __future__ import annotations

import fcntl
import html
import json
import re
from pathlib import Path

import pytest
from doubles import Sslcli
from pasting import by_hydra, pasted
from reported import HOSTILE, Page, hostile_run, make_run

from sslcli.runs.diagnostics import (
    FOLDER,
    Diagnostics,
    FeatureScores,
    ViewScores,
    write_diagnostics,
)


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_what_is_missing_is_named(sslcli: Sslcli, tmp_path: Path, status: str) -> None:
    facts = {"status": status, "error": "the loss is nan", "step": 20, "derived": {"num_steps": 90}}
    run = make_run(tmp_path / "run", metrics={}, validation=None, **facts)
    assert sslcli("report", "run").status == 0
    page = Page(run / "report.html")
    known = "died" if status == "running" else status
    for said in (
        f"not finished: {known}, after step 20 of 90",
        "the loss is nan",
        "sslcli resume",
        "1.135",
    ):
        assert said in page.text  # the newest loss stands for the final one
    assert len(page.charts) == 4


def test_a_run_that_is_worked_on(sslcli: Sslcli, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", status="running", metrics={}, validation=None)
    with (run / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sslcli("report", "run").status == 0
    assert "not finished: running" in Page(run / "report.html").text


def test_damaged_files_are_named_and_the_rest_is_shown(sslcli: Sslcli, tmp_path: Path) -> None:
    damages: dict[str, tuple[str, str]] = {
        "run.json": ("{", "run.json"),
        "config.yaml": ("]", "the config cannot be shown"),
        "metrics.jsonl": ("{]\n", "metrics.jsonl cannot be read"),
        "figures/views.png": ("no picture", "views.png cannot be read"),
        "confusion.csv": ("true,a\na,x\n", "confusion.csv cannot be read"),
        "evaluations.jsonl": ("{\n", "line 1 of evaluations.jsonl cannot be read"),
    }
    for number, (file, (content, said)) in enumerate(damages.items()):
        run = make_run(tmp_path / str(number))
        (run / file).write_text(content)
        assert sslcli("report", str(run)).status == 0, file
        page = Page(run / "report.html")
        assert said in page.text
        assert len(page.charts) == (0 if file == "metrics.jsonl" else 4)
    lost = make_run(tmp_path / "lost")
    (lost / "run.json").unlink()
    assert sslcli("report", "lost").status == 0
    assert "not finished: damaged" in Page(lost / "report.html").text


def test_what_features_are_like_is_shown_with_how_it_was_measured(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    (run / FOLDER).mkdir()
    scores = FeatureScores(0.5, 3.25, -1.5, 0.125, [2.0, 1.0], [1.0, 0.5])
    views = ViewScores(0.25, 1.75, 2.5, {"pictures": 500, "of_each": 10})
    protocol = {"pictures": "1000 of validation"}
    write_diagnostics(run / FOLDER, Diagnostics("run", scores, views, ["half dead"], protocol))
    assert sslcli("report", "run").status == 0
    text = Page(run / "report.html").text
    said = ["half dead", "effective rank3.25", "dead dimensions0.125", "lidar2.5"]
    for words in [*said, "pictures1000 of validation"]:  # cells stand side by side
        assert words in text
    (run / FOLDER / "diagnostics.json").write_text("{")
    assert sslcli("report", "run").status == 0
    assert "diagnostics.json cannot be read" in Page(run / "report.html").text


def test_all_text_is_escaped(sslcli: Sslcli, tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "runs")
    assert sslcli("report", str(run), "--output", "one.html").status == 0
    assert sslcli("report", "runs", "--output", "all.html").status == 0
    for name, num_charts in (("one.html", 5), ("all.html", 2)):
        page = Page(tmp_path / name)
        assert page.count("script") == num_charts + 2  # plotly, and the page's own
        assert page.count("b") == 0
        assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
        assert all(
            (attributes["src"] or "").startswith("data:")
            for tag, attributes in page.tags
            if tag == "img"
        )
        assert HOSTILE in page.text
        drawn = json.dumps(page.charts)
        assert "<img" not in drawn  # plotly reads a little markup


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "x"', "$HOME `id`", "${a}", "b\\", "a=b,c", "\n"]
)
def test_the_commands_of_any_path_are_right(sslcli: Sslcli, tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / name / "run", status="failed")
    (run / "encoder.json").write_text("{}")
    assert sslcli("report", str(run), "--output", "run.html").status == 0
    assert sslcli("report", str(run.parent), "--output", "runs.html").status == 0
    commands = pasted(commands_of(tmp_path / "run.html"))
    assert [words[1] for words in commands] == [
        *("resume", "rerun", "linear-eval", "diagnose", "embed", "report")
    ]
    for _, command, word in commands:
        assert (by_hydra(word) if command == "linear-eval" else word) == str(run)
    for words in pasted(commands_of(tmp_path / "runs.html")):
        assert words[2] == str(run.parent)


def commands_of(page: Path) -> list[str]:
    commands = re.findall("<pre>(.*?)</pre>", page.read_text(), flags=re.DOTALL)
    return [html.unescape(command) for command in commands]
