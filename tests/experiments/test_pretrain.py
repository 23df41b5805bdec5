"""`sslcli pretrain`, end to end: what it leaves, how it is stopped, resumed and run again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import MADE, TINY, Outcome, facts, only_run, records
from safetensors.torch import load_file

from sslcli.data.batches import Batches
from sslcli.errors import SslcliError
from sslcli.methods.simclr import SimCLR
from sslcli.runs.folder import read_records

Sslcli = Callable[..., Outcome]


def test_leaves_everything_in_the_run_folder(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli("pretrain", *TINY, "knn_every=1", "method.temperature=0.3")
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    assert run.parent == tmp_path / "outputs/pretrain/simclr-fashion_sample"
    assert str(run.relative_to(tmp_path)) in outcome.out
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["method"]["temperature"] == 0.3
    assert saved["optim"]["lr"] > 0
    assert yaml.safe_load((run / "overrides.yaml").read_text()) == [
        *TINY,
        "knn_every=1",
        "method.temperature=0.3",
    ]
    found = facts(run)
    assert found["status"] == "finished"
    assert {
        "identity",
        "seconds",
        "images_per_second",
        "peak_memory_bytes",
        "metrics",
        "environment",
        "derived",
    } <= found.keys()
    assert found["data"]["pictures"] == 64
    assert found["derived"]["num_steps"] == 8
    assert 0 <= found["metrics"]["knn_accuracy"] <= 1
    assert all({"step", "epoch"} <= record.keys() for record in records(run))
    assert [record["step"] for record in records(run) if "loss" in record] == [2, 4, 6, 8]
    assert [record["step"] for record in records(run) if "knn_accuracy" in record] == [4, 8]
    assert "knn accuracy" in (run / "log.txt").read_text()
    for name in (
        "pretrain/last.pt",
        "encoder.safetensors",
        "encoder.json",
        "figures/views.png",
        "figures/curves.png",
    ):
        assert (run / name).stat().st_size > 0


def delayed(function: Callable[..., Any]) -> Callable[..., Any]:
    def late(*arguments: Any) -> Any:
        time.sleep(0.25)
        return function(*arguments)

    return late


@pytest.mark.parametrize(("late", "waits"), [((Batches, "at"), True), ((SimCLR, "views"), False)])
def test_records_tell_how_long_steps_waited_for_their_pictures(
    sslcli: Sslcli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    late: tuple[type, str],
    waits: bool,
) -> None:
    monkeypatch.setattr(*late, delayed(getattr(*late)))
    assert sslcli("pretrain", *MADE).status == 0
    recorded = read_records(only_run(tmp_path / "outputs"))
    shares = [record["timing"]["data_share"] for record in recorded if "loss" in record]
    assert len(shares) == 2
    assert all((share > 0.5) == waits for share in shares)


@pytest.mark.parametrize(
    "words",
    [["optim=lars"], ["optim=adamw", "encoder=mlp", "~encoder.width", "encoder.widths=[16,8]"]],
)
def test_other_choices(sslcli: Sslcli, tmp_path: Path, words: list[str]) -> None:
    tiny = [word for word in TINY if "encoder=mlp" not in words or not word.startswith("encoder.")]
    outcome = sslcli("pretrain", *tiny, *[word for word in words if not word.startswith("~")])
    assert outcome.status == 0, outcome.err
    assert facts(only_run(tmp_path / "outputs"))["status"] == "finished"


def test_a_run_that_diverges_says_so_and_keeps_its_last_checkpoint(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    outcome = sslcli("pretrain", *TINY, "epochs=60", "optim.lr=1e30", "save_every=0.25")
    assert outcome.status == 1
    error, fix = outcome.err.strip().splitlines()[-2:]
    assert "the loss is not finite at step" in error
    assert "optim.lr" in fix
    assert facts(only_run(tmp_path / "outputs"))["status"] == "failed"


def test_a_collapse_is_announced(sslcli: Sslcli) -> None:
    """Weights that are decayed to nothing give every picture the same features."""
    outcome = sslcli(
        "pretrain",
        *TINY,
        "epochs=30",
        "optim.lr=0.01",
        "optim.weight_decay=90",
        "optim.momentum=0",
        "optim.nesterov=false",
        "optim.decay_all=true",
    )
    assert "warning: after step" in outcome.err
    assert "nearly the same features" in outcome.err


def test_a_finished_run_is_not_resumed(sslcli: Sslcli, tmp_path: Path) -> None:
    sslcli("pretrain", *TINY, "epochs=1")
    outcome = sslcli("resume", str(only_run(tmp_path / "outputs")))
    assert outcome.status == 2
    assert "is finished" in outcome.err


def make_interrupted(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), "status": "interrupted"}))


def test_a_changed_config_is_not_resumed(sslcli: Sslcli, tmp_path: Path) -> None:
    sslcli("pretrain", *TINY, "epochs=1")
    run = only_run(tmp_path / "outputs")
    make_interrupted(run)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("temperature: 0.2", "temperature: 0.9"))
    outcome = sslcli("resume", "last")
    assert outcome.status == 2
    assert "config.yaml was changed since the run began" in outcome.err


def test_own_pictures_whose_validation_has_no_labels(sslcli: Sslcli, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for index in range(48):
        folder = tmp_path / "photos" / ("val" if index < 8 else f"train/{index % 2}")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(
            folder / f"{index}.png"
        )
    tiny = [word for word in TINY if not word.startswith("data.")]
    outcome = sslcli(
        "pretrain", *tiny, "data=folder", "data.root=photos", "data.resolution=16", "knn_every=1"
    )
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    assert "knn_accuracy" not in facts(run)["metrics"]
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["root"] == str(
        tmp_path / "photos"
    )


def test_a_folder_that_cannot_be_written(sslcli: Sslcli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = sslcli("pretrain", *TINY, "runtime.outputs=file/inside")
    assert outcome.status == 1
    assert "runtime.outputs" in outcome.err
    assert "Traceback" not in outcome.err


def test_the_encoder_in_a_notebook(sslcli: Sslcli, tmp_path: Path) -> None:
    import numpy as np
    import torch
    from PIL import Image

    import sslcli as package

    sslcli("pretrain", *TINY, "epochs=1")
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    encoder = package.load_encoder("last", outputs=tmp_path / "outputs")
    assert torch.equal(torch.rand(3), expected), "a notebook's random numbers are its own"
    assert not encoder.training
    picture = Image.fromarray(np.arange(50 * 40 * 3, dtype=np.uint8).reshape(50, 40, 3))
    found = encoder.features([picture, picture.convert("P")])
    assert found.shape == (2, encoder.width)
    assert torch.allclose(encoder(encoder.preprocess([picture])), found[:1], atol=1e-5)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to be seen as it was
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as photograph:
        assert torch.allclose(encoder.features([photograph]), found[:1], atol=1e-5), (
            "as in training"
        )
        assert photograph.size == turned.size, "the user's picture stays as it is"
    with pytest.raises(SslcliError, match="the pictures are 8 x 8 pixels"):
        encoder.preprocess(np.zeros((1, 8, 8, 1), dtype=np.uint8))
    weights = load_file(only_run(tmp_path / "outputs") / "encoder.safetensors")
    assert all(
        torch.equal(value, weights[key]) for key, value in encoder.encoder.state_dict().items()
    )
