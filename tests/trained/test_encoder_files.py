"""encoder.json: what it says of a run's encoder, and which runs have one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles import PREPROCESSING

from sslcli.errors import SslcliError
from sslcli.nets.description import JSON
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.runs.folder import Run
from sslcli.trained.encoder_files import (
    EncoderFiles,
    kept_snapshots,
    read_encoder,
    require_snapshot,
    require_unlabelled,
    resolve_encoder_run,
)


def describe(run: Path, **changes: Any) -> None:
    """Changes entries of encoder.json."""
    described = json.loads((run / JSON).read_text())
    (run / JSON).write_text(json.dumps({**described, **changes}))


def test_it_says_what_was_written(run: Path) -> None:
    assert read_encoder(run) == EncoderFiles(run, ConvNetConfig(width=2), PREPROCESSING, 3, 0)
    describe(run, labels=20)
    assert read_encoder(run).labels == 20


def test_a_file_of_before_labels_were_counted_is_of_a_method_without(run: Path) -> None:
    described = json.loads((run / JSON).read_text())
    del described["labels"]
    (run / JSON).write_text(json.dumps(described))
    assert read_encoder(run).labels == 0


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda run: (run / JSON).unlink(), "has no encoder: there is no encoder.json"),
        (lambda run: (run / JSON).write_text("{"), "is damaged"),
        (lambda run: (run / JSON).write_text("[]"), "is damaged"),
        (
            lambda run: describe(run, format=2),
            "has format 2; this version of sslcli reads format 1",
        ),
        (lambda run: describe(run, encoder="retina"), "there is no encoder 'retina'"),
        (lambda run: describe(run, mean=["dark"]), "is damaged"),
        (lambda run: describe(run, seed=None), "is damaged"),
        (lambda run: describe(run, config={"width": "wide"}), "encoder.width"),
    ],
)
def test_what_cannot_be_read_is_said(run: Path, harm: Callable[[Path], object], said: str) -> None:
    harm(run)
    with pytest.raises(SslcliError) as refused:
        read_encoder(run)
    assert said in refused.value.message


def test_an_encoder_that_learned_from_labels_is_refused(run: Path) -> None:
    require_unlabelled(run)
    describe(run, labels=1200)
    with pytest.raises(SslcliError, match="learned from 1,200 labels"):
        require_unlabelled(run)


def test_the_last_is_the_newest_that_pretrained_one(run: Path, tmp_path: Path) -> None:
    """Also by a method that reads labels; but not one that was fine-tuned since."""
    folders = {}
    for started, name in enumerate(("old", "new", "supervised", "finetuned", "without")):
        folders[name] = Path(shutil.copytree(run, tmp_path / "outputs" / name))
        with Run(folders[name]) as opened:
            opened.update(started=float(started))
    for name in ("supervised", "finetuned"):
        describe(folders[name], labels=20)
    with Run(folders["finetuned"]) as opened:
        opened.update(command="finetune", choices={"optim": "adamw"})
    (folders["without"] / JSON).unlink()
    outputs = tmp_path / "outputs"
    assert resolve_encoder_run("last", outputs) == folders["supervised"]
    shutil.rmtree(folders["supervised"])
    assert resolve_encoder_run("last", outputs) == folders["new"]
    assert resolve_encoder_run("fine", str(outputs)) == folders["finetuned"], "where it is named"
    shutil.rmtree(folders["new"])
    shutil.rmtree(folders["old"])
    with pytest.raises(SslcliError, match="there is no run with an encoder under"):
        resolve_encoder_run("last", outputs)


def keep(run: Path, name: str) -> None:
    """Makes a snapshot's folder of that name, which holds the run's encoder."""
    folder = run / "snapshots" / name
    folder.mkdir(parents=True)
    shutil.copy(run / JSON, folder)


def test_a_snapshot_is_read_from_its_folder_and_belongs_to_the_run(run: Path) -> None:
    keep(run, "epoch-10")
    files = read_encoder(run, 10)
    assert files == EncoderFiles(run, ConvNetConfig(width=2), PREPROCESSING, 3, 0, 10)
    assert files.weights == run / "snapshots/epoch-10/encoder.safetensors"
    assert read_encoder(run).weights == run / "encoder.safetensors"


def test_only_folders_with_an_encoder_are_snapshots(run: Path) -> None:
    assert kept_snapshots(run) == []
    for name in ("epoch-10", "epoch-9", "epoch-ten", "epoch-007", "epoch-", "other"):
        keep(run, name)
    (run / "snapshots/epoch-3").mkdir()
    assert kept_snapshots(run) == [9, 10]


def test_of_many_snapshots_a_refusal_names_the_first_and_the_last(run: Path) -> None:
    for epoch in range(1, 41):
        keep(run, f"epoch-{epoch}")
    with pytest.raises(SslcliError, match=r"of 1, 2, .*, 11, …, 40$"):
        require_snapshot(run, 41)
