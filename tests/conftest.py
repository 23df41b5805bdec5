"""What several tests share: a command line in this process, and words that make a run take a second."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch: small work is slower on several, much so on a shared machine

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from sslcli.cli.main import main

TINY = [
    "data.limit=64",
    "batch_size=16",
    "epochs=2",
    "encoder.width=4",
    "log_every=2",
    "runtime.threads=1",
]
MADE = [*TINY, "epochs=1", "knn_every=0"]


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def sslcli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs a command line in an empty folder, as a shell would; returns exit status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Outcome:
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as left:
            main(list(words))
        captured = capsys.readouterr()
        return Outcome(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def coloured_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every `coloured` is a copy of."""
    folder = tmp_path_factory.mktemp("coloured")
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 120), ("val", 30), ("test", 60)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 80, (count, 12, 12, 3))
        images[np.arange(count), :, :, labels] += 100
        arrays[f"x_{part}"], arrays[f"y_{part}"] = images.astype(np.uint8), labels
    np.savez(folder / "pictures.npz", **arrays)
    GlobalHydra.instance().clear()
    tiny = [word for word in TINY if not word.startswith("data.limit")]
    where = [f"data.root={folder}/pictures.npz", f"runtime.outputs={folder}/outputs"]
    with pytest.raises(SystemExit) as left:
        main(["pretrain", *tiny, "data=arrays", *where])
    assert left.value.code == 0
    return folder


@pytest.fixture
def coloured(coloured_source: Path, tmp_path: Path) -> Path:
    """A run, in the folder where `sslcli` runs, on 210 small coloured pictures (120 of them to train on), with labels that a
    linear probe can find in the pixels: the brightest channel."""
    shutil.copytree(coloured_source, tmp_path, dirs_exist_ok=True)
    run = only_run(tmp_path / "outputs/pretrain")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(coloured_source), str(tmp_path)))
    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny finished run, without its curves, which are slow to draw: to be copied, not changed."""

    from sslcli.experiments import pretrain

    outputs = tmp_path_factory.mktemp("made")
    GlobalHydra.instance().clear()
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(pretrain, "save_curves", lambda *_: None)
        with pytest.raises(SystemExit) as left:
            main(["pretrain", *MADE, f"runtime.outputs={outputs}"])
    assert not left.value.code
    return only_run(outputs)


def only_run(folder: Path) -> Path:
    """The one run below a folder."""
    (found,) = (path.parent for path in sorted(folder.rglob("run.json")))
    return found


def records(run: Path) -> list[dict[str, Any]]:
    """The records of a run without what depends on the clock."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key != "timing"} for line in lines
    ]


def facts(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text()))
