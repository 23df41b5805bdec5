"""Fixtures of runs that restore."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import Outcome, make_run
from restoring import MeanFiller, Restore
from torch import nn

from sslcli.cli.guard import guarded
from sslcli.console import Console
from sslcli.method import Preprocessing
from sslcli.tools.restore import fill
from sslcli.tools.restore import main as restore


@pytest.fixture
def filler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MeanFiller:
    """What every run holds; the newest of the runs under outputs/ is one that cannot restore."""
    method = MeanFiller(nn.Linear(1, 1), Preprocessing(16, 3, (0.0,) * 3, (1.0,) * 3), [])
    monkeypatch.setattr(fill, "read_method", lambda folder: method)
    make_run(tmp_path / "outputs/pretrain/denoise", "denoising_autoencoder", started=1.0)
    make_run(
        tmp_path / "outputs/pretrain/died", "denoising_autoencoder", started=2.0, status="running"
    )
    make_run(tmp_path / "outputs/pretrain/contrast", "simclr", started=3.0)
    make_run(tmp_path / "outputs/linear-eval/probe", started=4.0, command="linear-eval", choices={})
    (tmp_path / "outputs/pretrain/damaged").mkdir()
    (tmp_path / "outputs/pretrain/damaged/run.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    return method


@pytest.fixture
def run(filler: MeanFiller, capsys: pytest.CaptureFixture[str]) -> Restore:
    def restored(*words: object) -> Outcome:
        status = guarded(
            lambda: restore.main([*map(str, words), "--device", "cpu"], Console()), debug=False
        )
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return restored
