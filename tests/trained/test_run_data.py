"""The data that a run was trained on: found again, also where they moved, and held to their fingerprint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from doubles import facts, pictures

from sslcli.data.arrays import ArraysConfig
from sslcli.data.images import untracked
from sslcli.data.sample import FashionSampleConfig
from sslcli.errors import SslcliError
from sslcli.runs.folder import Run
from sslcli.trained.data import (
    allow_changed_data,
    evaluation_folder_label,
    load_own_data,
    moved,
    require_same_data,
    run_data_config,
)
from sslcli.trained.encoder_files import read_encoder


def change(run: Path, **changes: Any) -> None:
    """Changes entries of run.json."""
    (run / "run.json").write_text(json.dumps({**facts(run), **changes}))


def begun_with(run: Path, source: Path, **header: Any) -> None:
    """Makes of a run one of `finetune`, which has no data of its own but those of `source`."""
    content = yaml.safe_load((run / "config.yaml").read_text())
    content.pop("data", None)
    content["sslcli"]["choices"].pop("data", None)
    content["sslcli"].update(command="finetune", **header)
    (run / "config.yaml").write_text(yaml.safe_dump({**content, "run": str(source)}))


def test_its_own_data_are_those_that_it_was_trained_on(run: Path, photos: Path) -> None:
    files = read_encoder(run)
    assert run_data_config(files, None) == ArraysConfig(root=str(photos))
    splits = load_own_data(files, untracked)
    assert splits.fingerprint == facts(run)["data"]["fingerprint"]


def test_other_data_are_read_as_the_encoder_takes_them(run: Path) -> None:
    files = read_encoder(run)
    assert run_data_config(files, FashionSampleConfig()) == FashionSampleConfig(resolution=16)
    asked = FashionSampleConfig(resolution=8)
    assert run_data_config(files, asked) == asked, "what was asked for stays"


def test_data_that_moved_are_read_where_they_are_now(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, now = read_encoder(run), tmp_path / "elsewhere.npz"
    photos.rename(now)
    with pytest.raises(SslcliError, match="the run's data are not at") as gone:
        load_own_data(files, untracked)
    assert str(photos) in gone.value.message
    assert "--data-root" in gone.value.fix
    assert len(load_own_data(files, untracked, str(now)).pretraining) == 22
    change(run, data_root=str(now))
    assert len(load_own_data(files, untracked).pretraining) == 22, "it is noted in run.json"
    monkeypatch.chdir(tmp_path)
    assert moved(ArraysConfig(root="x"), "elsewhere.npz").root == str(now), "absolute"
    assert moved(ArraysConfig(root="x"), None).root == "x"


def test_other_pictures_in_their_place_are_refused(run: Path, photos: Path) -> None:
    changed = pictures().images[:]
    changed[0, 0, 0, 0] ^= 1
    np.savez(photos, x_train=changed, y_train=np.arange(24) % 2)
    before = facts(run)["data"]["fingerprint"]
    with pytest.raises(SslcliError, match="the data changed since the run began") as refused:
        load_own_data(read_encoder(run), untracked)
    assert f"fingerprint {before} then" in refused.value.message
    assert refused.value.fix.endswith("or train again on what is there now")
    splits = ArraysConfig(root=str(photos)).load()
    change(run, data={})
    require_same_data(run, splits, "")  # a run that never recorded one


def test_a_run_that_began_with_another_has_that_ones_data(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    first, second = (Path(shutil.copytree(run, tmp_path / name)) for name in ("first", "second"))
    begun_with(first, run)
    begun_with(second, first)
    assert run_data_config(read_encoder(second), None) == ArraysConfig(root=str(photos))


def test_runs_that_began_with_each_other_are_refused(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    begun_with(run, other)
    begun_with(other, run)
    with pytest.raises(SslcliError, match="names its own run as the one that it began with"):
        run_data_config(read_encoder(run), None)


def test_a_change_that_is_allowed_is_noted_with_its_step(run: Path) -> None:
    change(run, status="interrupted", step=40)
    before = facts(run)["data"]["fingerprint"]
    with Run(run) as opened:
        allow_changed_data(opened)
    assert facts(run)["data"]["fingerprint"] is None
    change(run, data={"fingerprint": "second"}, step=50)
    with Run(run) as opened:
        allow_changed_data(opened)
    assert facts(run)["data_before"] == [
        {"fingerprint": before, "until_step": 40},
        {"fingerprint": "second", "until_step": 50},
    ]


def test_a_finished_run_keeps_its_fingerprint(run: Path) -> None:
    before = facts(run)["data"]
    with Run(run) as opened:
        allow_changed_data(opened)
    assert facts(run)["data"] == before
    assert "data_before" not in facts(run)


@pytest.mark.parametrize(
    ("told", "choices", "label"),
    [
        ({}, {}, "simclr-arrays"),
        ({}, {"data": "mnist"}, "simclr-arrays-to-mnist"),
        ({"choices": {"method": "../../x", "data": "a b"}}, {}, "_x-a_b"),
        ({"choices": {}, "command": "finetune"}, {}, "finetune"),
        ({"choices": {}, "command": "/etc"}, {"data": "mnist"}, "_etc-to-mnist"),
    ],
)
def test_the_folder_of_an_evaluation_is_named_by_what_was_evaluated(
    run: Path, told: dict[str, Any], choices: dict[str, str], label: str
) -> None:
    change(run, **told)
    assert evaluation_folder_label(str(run), choices) == label
