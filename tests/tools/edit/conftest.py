"""Fixtures of runs whose codes are edited."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import Outcome
from editing import Edit, coding, save_two_classes
from finished import finished_run

from sslcli.cli.guard import guarded
from sslcli.console import Console
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.tools.edit import main as edit
from sslcli.trained import coder, least_change


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of 24 pictures of two classes, left and right, whose codes are the pixels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(least_change, "STEPS", 2)
    monkeypatch.setattr(coder, "read_decoding", lambda folder: coding())
    photos = save_two_classes(tmp_path / "photos.npz")
    encoder = ConvNetConfig(width=2, bottleneck=4)
    return finished_run(tmp_path / "run", photos, DenoisingAutoencoderConfig(), encoder)


@pytest.fixture
def edited(run: Path, capsys: pytest.CaptureFixture[str]) -> Edit:
    def of(*words: object) -> Outcome:
        typed = ["run", *map(str, words), "--device", "cpu"]
        status = guarded(lambda: edit.main(typed, Console()), debug=False)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return of
