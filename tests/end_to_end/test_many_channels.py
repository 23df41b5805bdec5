"""13 channels of uint16, from an array to a restored file: every command takes them as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from doubles import Sslcli, only_run

SMALL = ["epochs=1", "batch_size=16", "runtime.threads=1", "runtime.device=cpu"]


def bands(num: int) -> np.ndarray:
    """Pictures whose classes differ in one channel, and that use the upper and the lower byte."""
    rng = np.random.default_rng(num)
    images = rng.integers(20_000, 30_000, (num, 16, 16, 13), dtype=np.uint16)
    images[::2, 4:12, 4:12, 7] += 20_001
    return images


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    for part, num in {"train": 48, "val": 16, "test": 16}.items():
        np.save(tmp_path / f"x_{part}.npy", bands(num))
        np.save(tmp_path / f"y_{part}.npy", np.arange(num) % 2)
    return ["data=arrays", f"data.root={tmp_path}", "data.shown=[7,2,1]"]


@pytest.mark.slow
def test_a_contrastive_run_is_measured_and_exported(
    sslcli: Sslcli, tmp_path: Path, data: list[str]
) -> None:
    words = ["method=simclr", "encoder=convnet", "encoder.width=4", "method.views.channel_drop=0.2"]
    outcome = sslcli("pretrain", *data, *words, *SMALL)
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    described = json.loads((run / "encoder.json").read_text())
    assert (described["channels"], described["range"]) == (13, [0.0, 65535.0])
    stored = np.concatenate([bands(48)]) / 65535
    np.testing.assert_allclose(described["mean"], stored.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(described["std"], stored.std(axis=(0, 1, 2)), rtol=1e-9)
    for command in (
        ["linear-eval", f"run={run}", "runtime.threads=1"],
        ["finetune", f"run={run}", "training.epochs=1", "training.steps=1", "runtime.threads=1"],
        ["export", run, "--to", "torchscript"],
        ["embed", run],
        ["diagnose", run],
        ["report", run],
    ):
        outcome = sslcli(*map(str, command))
        assert outcome.status == 0, (command, outcome.err)
    card = next(run.glob("export/*/MODEL_CARD.md")).read_text()
    assert "13 channels" in card
    assert "0 of the files is 0, 65535 is 1" in card


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["method=denoising_autoencoder", "encoder=mlp", "encoder.widths=[16]"],
        ["method=context_encoder", "encoder.width=4", "method.bottleneck=8"],
    ],
)
def test_files_are_restored_to_within_a_value(
    sslcli: Sslcli, tmp_path: Path, data: list[str], words: list[str]
) -> None:
    outcome = sslcli("pretrain", *data, *words, *SMALL)
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    assert (run / "figures/restorations.png").exists()
    picture, mask = bands(16)[0], np.zeros((16, 16), np.uint8)
    mask[5:9, 6:10] = 255
    np.save(tmp_path / "a.npy", picture)
    np.save(tmp_path / "mask.npy", mask)
    outcome = sslcli("restore", str(run), "a.npy", "--mask", "mask.npy")
    assert outcome.status == 0, outcome.err
    result = np.load(tmp_path / "a_restored.npy")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[mask == 0], picture[mask == 0])
    assert np.diff(np.unique(result[mask > 0])).min() < 257, "not rounded to 8 bits"
