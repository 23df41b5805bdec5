"""What is said of a run at one moment, in every state that it can be in."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reported import HOSTILE, hostile_run, make_run

from sslcli.report.curves import Records
from sslcli.report.families import Panels, curves_by_family
from sslcli.runs.folder import Run
from sslcli.runs.lock import HOST
from sslcli.tools.watch import sight as sights
from sslcli.tools.watch.page import as_json, page
from sslcli.tools.watch.sight import GONE, Sight, Speed, Watched, shown_figures


def running(folder: Path, **facts: Any) -> Path:
    return make_run(folder, status="running", host=HOST, metrics={}, validation=None, **facts)


def append(run: Path, **record: Any) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"phase": "pretrain", **record}) + "\n")


def look(run: Path) -> Sight:
    return Watched(run).look()


def test_a_run_is_followed_to_its_end(tmp_path: Path) -> None:
    run = running(
        tmp_path / "run",
        derived={"num_steps": 40, "normal_loss": {"collapsed": 2.0, "untrained": None}},
    )
    watched = Watched(run)
    with Run(run) as opened:
        seen = watched.look()
        assert (seen.status, seen.has_ended, seen.alarms) == ("running", False, [])
        assert seen.progress is not None
        assert (seen.progress.step, seen.progress.share) == (20, 0.5)
        assert seen.progress.words == "step 20 of 40, epoch 2.00"
        assert seen.levels == {"collapsed": 2.0}
        assert seen.numbers == [("loss", "1.135"), ("knn accuracy", "0.7")]
        append(run, step=39, epoch=3.9, timing={"images_per_second": 1234.4})
        append(run, step=40, epoch=4.0, loss=0.5, timing={"seconds": 3})
        seen = watched.look()
        assert seen.families["training"]["loss"][0].y[-1] == 0.5
        assert ("images per second", "1,234") in seen.numbers
        assert list(seen.families) == ["training", "validation", "learning rate", "diagnostics"]
        opened.finish({"loss": 0.5}, None)
    seen = watched.look()
    assert (seen.status, seen.has_ended, seen.alarms) == ("finished", True, [])


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"status": "running"}, ["the run died: no process works on it"]),
        ({"status": "failed", "error": "the loss is nan"}, ["the run failed", "the loss is nan"]),
        ({"status": "interrupted"}, ["the run was interrupted; it can be resumed"]),
        ({"status": "finished"}, []),
    ],
)
def test_an_end_is_an_alarm(tmp_path: Path, facts: dict[str, Any], said: list[str]) -> None:
    seen = look(make_run(tmp_path / "run", host=HOST, **facts))
    assert (seen.alarms, seen.has_ended) == (said, True)


def test_collapse_is_an_alarm_as_long_as_it_lasts(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    append(run, step=21, epoch=2.1, collapsed=1.0)
    assert look(run).alarms == ["the features are collapsed, as they were measured last"]
    append(run, step=22, epoch=2.2, loss=1.0)
    assert len(look(run).alarms) == 1
    append(run, step=23, epoch=2.3, collapsed=0.0)
    assert look(run).alarms == []


@pytest.mark.parametrize(
    ("host", "silent", "alarms"), [(HOST, 50, 0), (HOST, 1000, 1), ("other", 1000, 0)]
)
def test_silence_is_an_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, silent: int, alarms: int
) -> None:
    began = 1.7e9
    run = running(tmp_path / "run", started=began)
    os.utime(run / "metrics.jsonl", (began + 19.2, began + 19.2))
    monkeypatch.setattr(sights.time, "time", lambda: began + 19.2 + silent)
    with Run(run) as opened:
        opened.update()
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**facts, "host": host}))
        said = look(run).alarms
    assert len(said) == alarms
    assert all("nothing was recorded for 16 min" in text and "every 0.8 s" in text for text in said)


def test_what_the_run_warned_of_is_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", data={"warnings": ["3 pictures are alike"]})
    (run / "log.txt").write_text("2026-01-01 00:00:00 warning: it is slow\n2026-01-01 00:00:00 x\n")
    watched = Watched(run)
    assert watched.look().warnings == ["3 pictures are alike", "it is slow"]
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "data": {"warnings": ["4 are"]}}))
    assert watched.look().warnings == ["4 are", "it is slow"]
    with (run / "log.txt").open("a") as file:
        file.write("2026-01-01 00:00:00 warning: it is hot\n")
    assert watched.look().warnings == ["4 are", "it is slow", "it is hot"]
    (run / "log.txt").unlink()
    assert watched.look().warnings == ["4 are"]


def test_a_removed_folder_keeps_what_was_seen_and_may_come_back(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    watched = Watched(run)
    before = watched.look()
    run.rename(tmp_path / "elsewhere")
    for _ in range(2):
        seen = watched.look()
        assert (seen.status, seen.has_ended, seen.figures) == (GONE, True, {})
        assert seen.alarms == [f"the folder is gone: {run}"]
        assert seen.families == before.families
    (tmp_path / "elsewhere").rename(run)
    assert watched.look().status == "finished"
    run.rename(tmp_path / "elsewhere")
    watched.look()
    make_run(run, steps=0)
    assert watched.look().families == {}, "another run is in its place"
    shutil.rmtree(run)
    assert look(run).status == GONE


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"status": 3}', '{"derived": {"normal_loss": 3, "num_steps": "x"}}']
)
def test_damaged_facts_are_said_and_curves_stay(tmp_path: Path, content: str) -> None:
    run = make_run(tmp_path / "run")
    (run / "run.json").write_text(content)
    with (run / "metrics.jsonl").open("a") as file:
        file.write("no record\n")
    seen = look(run)
    assert "a line of metrics.jsonl cannot be read" in seen.alarms
    assert len(seen.families["training"]["loss"][0].y) == 20
    assert ("the run cannot be read" in seen.alarms) == ("derived" not in content)
    as_json(seen)


def test_a_run_without_any_record_is_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=0)
    seen = look(run)
    assert (seen.families, seen.progress, seen.alarms) == ({}, None, [])
    (run / "metrics.jsonl").unlink()
    as_json(look(run))
    page(look(run))


def test_only_pictures_inside_the_run_are_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    secret = tmp_path / "secret.png"
    Image.new("L", (2, 2)).save(secret)
    (run / "figures" / "link.png").symlink_to(secret)
    (tmp_path / "far").mkdir()
    shutil.copy(secret, tmp_path / "far" / "away.png")
    (run / "figures" / "far").symlink_to(tmp_path / "far")
    (run / "figures" / "folder.png").mkdir()
    (run / "figures" / "own.png").symlink_to("views.png")
    shutil.copy(secret, run / "figures" / "curves.png")
    shutil.copy(secret, run / "figures" / os.fsdecode(b"\xff.png"))
    (run / "figures" / "deep").mkdir()
    shutil.copy(secret, run / "figures" / "deep" / "a b.png")
    assert list(shown_figures(run)) == [
        "figures/deep/a b.png",
        "figures/own.png",
        "figures/views.png",
    ]


def test_hostile_names_are_text(tmp_path: Path) -> None:
    seen = look(hostile_run(tmp_path))
    written = page(seen).decode()
    assert HOSTILE not in written
    assert "<img" not in written
    assert "<b>" not in written
    assert HOSTILE in json.loads(as_json(seen))["alarms"]


def test_curves_that_take_long_are_drawn_seldom_but_always_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def slow(records: Records) -> dict[str, Panels]:
        now[0] += 3.0
        return curves_by_family(records)

    def newest() -> float:
        return float(watched.look().families["training"]["loss"][0].y[-1])

    monkeypatch.setattr(sights.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sights, "curves_by_family", slow)
    run = running(tmp_path / "run")
    watched = Watched(run)
    with Run(run) as opened:
        first = newest()
        append(run, step=21, epoch=2.1, loss=0.5)
        now[0] += 50.0
        assert newest() == first
        now[0] += 10.0
        assert (newest(), newest()) == (0.5, 0.5)
        append(run, step=22, epoch=2.2, loss=0.25)
        assert newest() == 0.5
        assert dict(watched.look().numbers)["loss"] == "0.25", "numbers are new at each look"
        opened.finish({"loss": 0.25}, None)
    assert newest() == 0.25


def test_the_time_left_is_told_from_new_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(sights.time, "monotonic", lambda: now[0])
    speed = Speed()

    def left(at: float, step: int, phase: str = "a") -> float | None:
        now[0] = at
        return speed.seconds_left(phase, step, 100)

    assert [left(0, 10), left(1, 10), left(2, 20), left(5, 20)] == [None] * 4
    assert left(12, 40) == pytest.approx(30)  # 2 steps a second, 60 are left
    assert left(22, 40) == pytest.approx(20)
    assert left(100, 40) == 0
    assert [left(101, 30), left(102, 30)] == [None, None], "it was resumed from before"
    assert [left(103, 40), left(104, 50)] == [None, pytest.approx(5)]
    assert left(105, 60, "b") is None
