"""`python -m benchmarks.leaderboard`, on tiny runs: what it makes, what it never makes again, and what it writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doubles import facts, make_run, pixels

ROOT = Path(__file__).parents[2]
WORDS = [
    "data.limit=200",
    "batch_size=100",
    "epochs=1",
    "encoder.width=4",
    "knn_every=0",
    "runtime.threads=1",
]
"""The encoder of one of the two methods has no width: it is refused."""


def leaderboard(folder: Path, *more: str, words: list[str] = WORDS) -> tuple[int, str]:
    """Runs it; returns its exit status, and what it said."""
    where = ["--outputs", str(folder / "runs"), "--page", str(folder / "docs/board.md")]
    asked = ["--methods", "denoising_autoencoder", "simclr", "--seeds", "1", "--words", *words]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.leaderboard", *asked, *where, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def when_written(folder: Path) -> dict[Path, int]:
    return {path.parent: path.stat().st_mtime_ns for path in folder.rglob("run.json")}


@pytest.mark.long
@pytest.mark.slow
def test_it_makes_what_is_missing_alone_and_writes_what_is_finished(tmp_path: Path) -> None:
    status, said = leaderboard(tmp_path, "--show")
    assert (status, (tmp_path / "docs").exists()) == (0, False), said
    status, said = leaderboard(tmp_path)
    assert status == 0, said
    first = when_written(tmp_path)
    assert len(first) == 1 + 3
    text = (tmp_path / "docs/board.md").read_text()
    rows = {row.split(" | ")[0]: row.split(" | ") for row in text.splitlines() if row[:2] == "| "}
    assert rows.keys() == {"| method", "| ---", "| simclr", "| raw pixels"}
    assert rows["| simclr"][1:3] == ["convnet", "1"]
    (top1,) = [
        json.loads((run / "results.json").read_text())["rows"][0]["scores"]["top1"]
        for run in first
        if facts(run)["command"] == "linear-eval"
        and "labels=1.0" in (run / "overrides.yaml").read_text()
    ]
    assert rows["| simclr"][3].startswith(f"{100 * top1:.2f}")
    assert "`denoising_autoencoder`: there is no key 'encoder.width' (seed 0)" in text
    assert min(pixels(tmp_path / "docs/board.png").shape[:2]) > 100

    stopped = next(run for run in first if facts(run)["command"] == "linear-eval")
    (stopped / "results.json").unlink()
    unfinished = {**facts(stopped), "status": "interrupted"}
    (stopped / "run.json").write_text(json.dumps(unfinished))
    status, said = leaderboard(tmp_path)
    assert status == 0, said
    second = when_written(tmp_path)
    assert {run for run in second if second[run] != first.get(run)} == {stopped}
    assert (tmp_path / "docs/board.md").read_text() == text

    status, said = leaderboard(tmp_path, words=[*WORDS, "seed=7"])
    assert status == 2
    assert "type the same words" in said
    assert when_written(tmp_path) == second


def test_a_teacher_is_made_first_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.leaderboard import Entry, entries, words_of

    found = list(entries(tmp_path, ["byol", "distillation", "simclr"], 2))
    assert [(entry.method, entry.seed) for entry in found] == [
        (method, seed) for seed in (0, 1) for method in ("byol", "simclr", "distillation")
    ]
    taught = Entry("distillation", 1, tmp_path / "distillation/seed-1")
    typed = ["method=distillation", "seed=1", "epochs=1"]
    assert words_of(taught, ["epochs=1"]) == typed
    run = make_run(tmp_path / "simclr/seed-1/run", command="pretrain")
    assert words_of(taught, ["epochs=1"]) == [*typed, f"method.teacher={run}"]


def test_a_run_that_vanishes_meanwhile_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import leaderboard

    make_run(tmp_path / "simclr/seed-0/run", command="pretrain", status="interrupted")
    overrides = tmp_path / "simclr/seed-0/run/overrides.yaml"
    overrides.write_text("- method=simclr\n- seed=0\n")

    def vanish(*_: object) -> int:
        shutil.rmtree(tmp_path / "simclr/seed-0/run")
        return 0

    monkeypatch.setattr(leaderboard, "call", vanish)
    words = ["--methods", "simclr", "--seeds", "1", "--outputs", str(tmp_path)]
    assert leaderboard.main([*words, "--page", str(tmp_path / "page.md")]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[0].endswith("holds no run of pretrain any more")
    assert said.splitlines()[1].startswith("fix: ")
