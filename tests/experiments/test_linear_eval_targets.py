"""`sslcli linear-eval` on several classes a picture and on numbers, end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doubles import TINY_WITHOUT_LIMIT, Outcome, Sslcli, facts, only_run
from PIL import Image

from sslcli.runs.evaluations import read_evaluations
from sslcli.runs.results import Results, read_results

FEW = ["l2=[1e-4,1e-2,1]", "runtime.threads=1"]
SIDE = 12


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 60 pictures: how bright each is, and which of its halves are."""
    rng = np.random.default_rng(0)
    lines = ["path,part,brightness,halves"]
    for number in range(60):
        top, left = rng.random(2) < 0.5
        pixels = (
            rng.integers(0, 60, (SIDE, SIDE))
            + 80 * ((np.arange(SIDE) < SIDE // 2) * top)[:, None]
            + 80 * ((np.arange(SIDE) < SIDE // 2) * left)[None, :]
        )
        Image.fromarray(pixels.astype(np.uint8)).convert("RGB").save(tmp_path / f"{number}.png")
        halves = "|".join(name for name, lit in (("top", top), ("left", left)) if lit)
        part = "test" if number >= 45 else "train"
        lines.append(f"{number}.png,{part},{1000 + pixels.mean()},{halves}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "t.csv"


def words(column: str) -> list[str]:
    return ["data=table", "data.root=t.csv", f"data.resolution={SIDE}", column]


def evaluated(sslcli: Sslcli, *more: str) -> tuple[Outcome, Path, Results]:
    outcome = sslcli("linear-eval", "run=last", *more, *FEW)
    assert outcome.status == 0, outcome.err
    run = only_run(Path("outputs/linear-eval"))
    return outcome, run, read_results(run)


def test_brightness_is_told_from_raw_pixels(sslcli: Sslcli, coloured: Path, table: Path) -> None:
    outcome, run, results = evaluated(sslcli, *words("data.target=brightness"))
    for said in ("test scores of brightness", "R2", "mean absolute error", "raw pixels"):
        assert said in outcome.out
    assert [row.name for row in results.rows][1:] == ["untrained_encoder", "raw_pixels"]
    for row in results.rows:
        assert row.scores.keys() == {"r2", "mae", "knn_r2", "knn_mae", "val_r2"}
    scores = results.row("raw_pixels").scores
    assert scores["r2"] is not None
    assert scores["mae"] is not None
    assert scores["r2"] > 0.99
    assert 0 < scores["mae"] < 3
    assert results.protocol.details["targets"] == "brightness"
    assert "ridge regression" in str(results.protocol.details["probe"])
    metrics = facts(run)["metrics"]
    assert metrics["raw_pixels_r2"] == scores["r2"]
    (evaluation,), _ = read_evaluations(coloured)
    assert evaluation.metrics == metrics


def test_lit_halves_are_told_from_raw_pixels(sslcli: Sslcli, coloured: Path, table: Path) -> None:
    part = ["baselines=[raw_pixels]", "labels=0.5", "seed=3"]
    outcome, run, results = evaluated(sslcli, *words("data.labels=halves"), *part)
    assert "mean average precision" in outcome.out
    assert results.classes == ["left", "top"]
    assert results.protocol.trained_on == "20 training labels"
    raw = results.row("raw_pixels")
    assert raw.scores.keys() == {"map", "knn_map", "val_map"}
    assert raw.scores["map"] is not None
    assert raw.scores["map"] > 0.95
    assert raw.scores["map"] == pytest.approx(np.mean(raw.per_class))  # type: ignore[arg-type]
    assert facts(run)["metrics"].keys() == {*raw.scores, "raw_pixels_map"}
    refused = sslcli("linear-eval", "run=last", *words("data.labels=halves"), "labels=10", *FEW)
    assert refused.status == 2
    assert "labels must be at most 1 here" in refused.err


@pytest.mark.parametrize(
    ("command", "more"),
    [("finetune", ["run=last"]), ("label-curve", ["run=last"]), ("worth", TINY_WITHOUT_LIMIT)],
)
def test_what_counts_labels_per_class_refuses_numbers(
    sslcli: Sslcli, coloured: Path, table: Path, command: str, more: list[str]
) -> None:
    refused = sslcli(command, *more, *words("data.target=brightness"))
    assert refused.status == 2
    assert f"{command} needs one class a picture, and these have a number each" in refused.err
    assert "fix:" in refused.err


@pytest.mark.slow
def test_pretraining_takes_such_tables_as_they_are(sslcli: Sslcli, table: Path) -> None:
    for column in ("data.target=brightness", "data.labels=halves"):
        outcome = sslcli("pretrain", *words(column), *TINY_WITHOUT_LIMIT, "epochs=1")
        assert outcome.status == 0, outcome.err
        assert sslcli("linear-eval", "run=last", *FEW).status == 0
        assert "identical" in sslcli("rerun", "last").out
