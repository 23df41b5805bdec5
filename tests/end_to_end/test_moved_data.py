"""A run whose pictures moved goes on, and is evaluated, where they are now; other pictures are noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from doubles import (
    TINY_WITHOUT_LIMIT,
    Killed,
    Sslcli,
    facts,
    only_run,
    records,
    require_two_lines,
)
from finished import finished_run, write_photos
from PIL import Image

from sslcli.console import TrainingLines
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.runs.folder import Run


def write_pictures(folder: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for part, count in (("train", 24), ("test", 8)):
        for index in range(count):
            path = folder / part / ("dark" if index % 2 else "light") / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 120, (12, 12, 3)) + 120 * (1 - index % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    write_pictures(tmp_path / "photos")
    root = [f"data.root={tmp_path / 'photos'}", "data=folder", "data.resolution=12"]
    return ["pretrain", *TINY_WITHOUT_LIMIT, *root, "batch_size=4", "knn_every=0", "save_every=0.2"]


def moved(tmp_path: Path) -> Path:
    return Path(shutil.move(tmp_path / "photos", tmp_path / "elsewhere 2024_01"))


@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_a_refused_place_is_not_noted(sslcli: Sslcli, tmp_path: Path, status: str) -> None:
    """Later evaluations would look there."""
    run = finished_run(
        tmp_path / "run", write_photos(tmp_path), SimCLRConfig(), ConvNetConfig(width=4)
    )
    with Run(run) as opened:
        opened.update(status=status)
    before = facts(run)
    nowhere = str(tmp_path / "nowhere.npz")
    outcome = sslcli("resume", str(run), "--data-root", nowhere, "--allow-changed-data")
    assert outcome.status == 2
    finished = status == "finished"
    require_two_lines(outcome, "is finished" if finished else f"there are no data at {nowhere}")
    assert facts(run) == before


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_they_are_now(
    sslcli: Sslcli, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sslcli(*words, "runtime.outputs=whole").status == 0

    real = TrainingLines.step

    def step(self: TrainingLines, done: int) -> None:
        real(self, done)
        if done == 4:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(TrainingLines, "step", step)
        sslcli(*words, "runtime.outputs=cut")
    cut, whole = only_run(tmp_path / "cut"), only_run(tmp_path / "whole")
    now = moved(tmp_path)
    outcome = sslcli("resume", str(cut))
    assert outcome.status == 2
    assert "are not at" in outcome.err
    assert f"sslcli resume {cut} --data-root" in outcome.err
    assert sslcli("resume", str(cut), "--data-root", str(now)).status == 0
    assert records(cut) == records(whole)
    weights = [(run / "encoder.safetensors").read_bytes() for run in (cut, whole)]
    assert weights[0] == weights[1]
    assert facts(cut)["data_root"] == str(now)
    assert sslcli("diagnose", str(cut), "--device", "cpu").status == 0, "it knows where they are"


@pytest.mark.slow
def test_a_finished_run_is_evaluated_where_they_are_now(
    sslcli: Sslcli, words: list[str], tmp_path: Path
) -> None:
    assert sslcli(*words).status == 0
    run = only_run(tmp_path / "outputs")
    now = moved(tmp_path)
    probe = ["linear-eval", "run=last", "l2=[0.1]", "baselines=false", "runtime.threads=1"]
    for without, with_root in (
        (["embed", str(run)], ["--data-root", str(now)]),
        (["diagnose", str(run)], ["--data-root", str(now)]),
        (probe, [f"data_root={now}"]),
    ):
        refused = sslcli(*without)
        assert refused.status == 2
        assert str(tmp_path / "photos") in refused.err
        accepted = sslcli(*without, *with_root)
        assert accepted.status == 0, accepted.err


def test_other_pictures_in_their_place_are_noticed(
    sslcli: Sslcli, words: list[str], tmp_path: Path
) -> None:
    assert sslcli(*words).status == 0
    run = only_run(tmp_path / "outputs")
    others = write_pictures(tmp_path / "others", seed=1)
    for command in (["embed", str(run)], ["diagnose", str(run)]):
        outcome = sslcli(*command, "--data-root", str(others))
        assert outcome.status == 2
        assert "the data changed since the run began" in outcome.err
