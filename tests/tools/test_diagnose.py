"""`sslcli diagnose` on real runs: numbers with their protocol, a figure, and plain words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from doubles import TINY, Sslcli, only_run, records
from PIL import Image
from safetensors.torch import load_file, save_file

from sslcli.runs.diagnostics import read_diagnostics


@pytest.fixture(scope="module")
def outputs(command_line: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run, to be copied."""
    folder = tmp_path_factory.mktemp("diagnosed")
    assert command_line("pretrain", *TINY, f"runtime.outputs={folder}") == 0
    return folder


@pytest.fixture
def trained(sslcli: Sslcli, outputs: Path, tmp_path: Path) -> Path:
    return only_run(Path(shutil.copytree(outputs, tmp_path / "outputs")))


def test_measures_the_run_and_writes_it_down(sslcli: Sslcli, trained: Path) -> None:
    outcome = sslcli("diagnose", "last", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    for words in ("RankMe", "alignment", "uniformity", "LiDAR", "dead dimensions"):
        assert words in outcome.out
    folder = trained / "diagnostics"
    assert {file.name for file in folder.iterdir()} == {"diagnostics.json", "diagnostics.png"}
    found = json.loads((folder / "diagnostics.json").read_text())
    assert len(found["dimension_std"]) == len(found["spectrum"]) == 512
    assert 1 <= found["effective_rank"] <= 512
    assert 1 <= found["lidar"] <= 512
    assert -8 <= found["uniformity"] <= 0
    assert 0 < found["alignment"] < 4
    assert found["views"] == {"pictures": 500, "of_each": 10}
    assert found["protocol"]["pictures"].startswith("1000 validation pictures")
    facts = json.loads((trained / "run.json").read_text())
    assert found["protocol"]["data_fingerprint"] == facts["data"]["fingerprint"]
    read = read_diagnostics(trained)
    assert read is not None
    assert read.scores.dimension_std == found["dimension_std"]
    assert read.numbers()["lidar"] == found["lidar"]
    with Image.open(folder / "diagnostics.png") as figure:
        assert figure.width > 2 * figure.height  # three panels: RankMe was recorded
    assert sslcli("diagnose", str(trained), "--device", "cpu").status == 0  # again: replaced
    assert json.loads((folder / "diagnostics.json").read_text()) == found


def test_pretraining_logs_what_is_cheap(trained: Path) -> None:
    measured = [record for record in records(trained) if "effective_rank" in record]
    assert len(measured) == 2
    for record in measured:
        assert 0 <= record["dead_dimensions"] <= 1
        assert record["uniformity"] <= 0
        assert record["alignment"] > 0


def test_a_collapsed_encoder_is_said_to_be_one(sslcli: Sslcli, trained: Path) -> None:
    path = trained / "encoder.safetensors"
    save_file({name: torch.zeros_like(value) for name, value in load_file(path).items()}, path)
    outcome = sslcli("diagnose", "last", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert "every picture gets nearly the same features" in outcome.err
    assert "100 % of the features' dimensions are the same" in outcome.err
    assert "nothing looks collapsed" not in outcome.out


@pytest.mark.slow
def test_a_method_without_views_and_a_run_without_its_checkpoint(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    assert sslcli("pretrain", *TINY, "method=denoising_autoencoder", "encoder=convnet").status == 0
    outcome = sslcli("diagnose", "last", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert "DenoisingAutoencoder makes no two views of a picture" in outcome.out
    run = only_run(tmp_path / "outputs")
    assert "lidar" not in json.loads((run / "diagnostics/diagnostics.json").read_text())
    (run / "pretrain/last.pt").unlink()
    outcome = sslcli("diagnose", "last", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert "alignment and LiDAR are left out" in outcome.err


def test_a_run_without_an_encoder_is_refused(sslcli: Sslcli, trained: Path) -> None:
    (trained / "encoder.json").unlink()
    outcome = sslcli("diagnose", str(trained))
    assert outcome.status == 2
    assert "has no encoder" in outcome.err
    assert not (trained / "diagnostics").exists()
    assert "there is no run with an encoder" in sslcli("diagnose", "last").err
