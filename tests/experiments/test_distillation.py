"""A run that distils: its teacher is found, kept to, and told of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from doubles import TEACHER, TINY, Sslcli, facts, only_run, require_refused, require_two_lines

from sslcli.errors import SslcliError
from sslcli.methods.distillation import Distillation, DistillationConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.testing.trial import build_method, pictures
from sslcli.trained.encoder_files import read_encoder

WORDS = ["pretrain", "method=distillation", "method.teacher=teacher", *TINY, "knn_every=0"]


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A finished run, as the folder `teacher` beside the new run's."""
    return Path(shutil.copytree(TEACHER, tmp_path / "teacher"))


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.slow
def test_a_run_teaches_and_what_it_saw_is_counted(
    sslcli: Sslcli, teacher: Path, tmp_path: Path
) -> None:
    described = json.loads((teacher / "encoder.json").read_text())
    (teacher / "encoder.json").write_text(json.dumps({**described, "labels": 1200}))
    outcome = sslcli(*WORDS)
    assert outcome.status == 0, outcome.err
    assert "what teaches Distillation saw 1,200 labels" in outcome.out
    run = only_run(tmp_path / "outputs")
    assert f"teacher: {teacher}" in (run / "config.yaml").read_text()
    assert facts(run)["files"].keys() == {"method.teacher"}
    assert facts(run)["derived"]["labels"] == read_encoder(run).labels == 1200
    (teacher / "evaluations.jsonl").write_text("")  # as every evaluation of the teacher does
    assert sslcli("rerun", str(run)).status == 0
    change_a_byte(teacher / "encoder.safetensors")
    refused = sslcli("rerun", str(run))
    assert "method.teacher" in refused.out + refused.err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("method.teacher=none", "there is no file or folder 'none'"),
        ("method.teacher=teacher/encoder.safetensors", "is no folder that holds encoder.json"),
        ("method.teacher=teacher/pretrain", "is no folder that holds encoder.json"),
    ],
)
def test_what_cannot_teach_is_refused_before_a_run_is_made(
    sslcli: Sslcli, teacher: Path, tmp_path: Path, word: str, said: str
) -> None:
    require_refused(sslcli(*WORDS, word), said)
    assert not (tmp_path / "outputs").exists()


def test_without_a_teacher_the_setting_is_named(sslcli: Sslcli) -> None:
    require_two_lines(sslcli("pretrain", "method=distillation"), "method.teacher")


def test_the_teachers_features_go_into_the_queue_and_no_player_has_it() -> None:
    config = DistillationConfig(teacher=str(TEACHER), queue=100)
    method = build_method(config, ConvNetConfig(width=4))
    assert isinstance(method, Distillation)
    played = sum(len(list(part.parameters())) for part in method.players()["method"])
    own = (method.encoder, method.projector)
    assert played == sum(len(list(part.parameters())) for part in own)
    views = method.views(torch.from_numpy(pictures().images))
    method.train_step(views, lambda *_: None, None)  # type: ignore[arg-type]
    expected = method.teacher(method.preprocessing.pictures(views))
    torch.testing.assert_close(
        method.queue.rows[:48], torch.nn.functional.normalize(expected, dim=1)
    )


@pytest.mark.parametrize(("channels", "fits"), [(1, True), (3, True), (2, False), (4, False)])
def test_a_teacher_of_other_channels_is_refused(channels: int, fits: bool) -> None:
    config, network = DistillationConfig(teacher=str(TEACHER)), ConvNetConfig(width=4)
    if fits:
        build_method(config, network, channels=channels)
        return
    with pytest.raises(SslcliError, match=f"must be of {channels} channels, as the pictures are"):
        build_method(config, network, channels=channels)


def test_a_teacher_that_knows_another_black_and_white_is_warned_of(
    sslcli: Sslcli, teacher: Path
) -> None:
    described = json.loads((teacher / "encoder.json").read_text())
    (teacher / "encoder.json").write_text(json.dumps({**described, "range": [0, 4095]}))
    outcome = sslcli(*WORDS, "epochs=1")
    assert outcome.status == 0, outcome.err
    assert "the teacher was trained with values from 0, black, to 4095" in " ".join(
        (outcome.out + outcome.err).split()
    )
