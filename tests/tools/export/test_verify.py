"""What is exported is held to the run's features; where it differs, nothing is left."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import Sslcli
from exported import left_in
from safetensors.torch import load_file, save_file
from torch import Tensor

from sslcli.tools.export import formats
from sslcli.tools.export.programs import Onnx
from sslcli.tools.export.weights import Safetensors


class Other(Safetensors):
    """Goes wrong in the way that a test chooses."""

    def __init__(self, spoil: Callable[[dict[str, Tensor]], None]) -> None:
        self.spoil = spoil

    def write(self, source: Any, encoder: Any, folder: Path) -> None:
        state = encoder.state_dict()
        self.spoil(state)
        super().write(source, encoder, folder)


def changed(state: dict[str, Tensor]) -> None:
    state["blocks.0.weight"].mul_(1.01)


def not_a_number(state: dict[str, Tensor]) -> None:
    state["blocks.0.weight"].fill_(torch.nan)


def unwritable(state: dict[str, Tensor]) -> None:
    raise ValueError("the exporter stumbled")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed, "the file's features are not the run's: the largest difference is"),
        (not_a_number, "the file's features are not the run's: the largest difference is nan"),
        (unwritable, "the encoder could not be written: ValueError: the exporter stumbled"),
    ],
)
def test_what_is_not_the_runs_encoder_is_not_kept(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, said: str
) -> None:
    monkeypatch.setitem(formats.FORMATS, "safetensors", Other(spoil))
    before = left_in(run)
    outcome = sslcli("export", str(run), "--to", "safetensors")
    assert outcome.status == 1
    assert said in " ".join(outcome.err.split())
    assert left_in(run) == before
    assert not (run / "export").exists()


@pytest.mark.slow
def test_a_cut_file_is_found_and_what_was_there_before_stays(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sslcli("export", str(run), "--to", "onnx").status == 0
    good = (run / "export/onnx/encoder.onnx").read_bytes()
    monkeypatch.setattr(
        Onnx,
        "write",
        lambda self, source, encoder, to: (to / "encoder.onnx").write_bytes(good[:900]),
    )
    outcome = sslcli("export", str(run), "--to", "onnx", "--force")
    assert outcome.status == 1
    assert "could not be loaded back" in outcome.err
    assert (run / "export/onnx/encoder.onnx").read_bytes() == good
    assert {path.name for path in (run / "export/onnx").iterdir()} == {
        "encoder.onnx",
        "MODEL_CARD.md",
    }


def test_a_program_for_one_size_of_batch_is_not_kept(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslcli.tools.export.programs._free_batch", lambda: None)
    outcome = sslcli("export", str(run), "--to", "torchscript")
    assert outcome.status == 1
    assert not (run / "export").exists()


def test_data_that_are_gone_are_replaced_by_the_sample_and_it_is_said(
    sslcli: Sslcli, trained: Any, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained("timm"), tmp_path / "run"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(
        re.sub(r"root: .*colour.npz", f"root: {tmp_path}/gone.npz", config)
    )
    outcome = sslcli("export", str(run), "--to", "timm")
    assert outcome.status == 0, outcome.err
    assert "the run's data cannot be had" in " ".join(outcome.err.split())
    assert "32 pictures of the embedded sample" in " ".join(outcome.out.split())
    assert "32 pictures of the embedded sample" in (run / "export/timm/MODEL_CARD.md").read_text()


def scaled(run: Path, factor: float) -> None:
    """Makes the run's features `factor` times as large."""
    state = load_file(run / "encoder.safetensors")
    last = max(int(name.split(".")[1]) for name in state)  # batch norm, followed by a ReLU
    for name in ("weight", "bias"):
        state[f"blocks.{last}.{name}"] *= factor
    save_file(state, run / "encoder.safetensors")


@pytest.mark.parametrize("factor", [1e-7, 1e4])
def test_differences_are_judged_by_the_size_of_the_features(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    scaled(run, factor)
    assert sslcli("export", str(run), "--to", "torchscript").status == 0
    monkeypatch.setitem(formats.FORMATS, "safetensors", Other(changed))
    assert sslcli("export", str(run), "--to", "safetensors").status == 1
