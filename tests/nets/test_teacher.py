"""A trained encoder that teaches: it is fed as it was trained, whatever the pictures are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from doubles import TEACHER
from torch import nn

from sslcli.errors import SslcliError
from sslcli.method import Preprocessing
from sslcli.nets.encoder import Encoder
from sslcli.nets.teacher import Teacher, load_teacher
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder


class Seen(Encoder):
    """An encoder whose features are what it was fed."""

    width = 1

    def __init__(self) -> None:
        super().__init__()
        self.none = nn.Identity()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures


def test_its_features_are_those_of_the_run() -> None:
    files = read_encoder(TEACHER)
    pictures = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    teacher = load_teacher(TEACHER).eval()
    assert teacher.width == 16
    expected = load_trained(files)(files.preprocessing.normalized(pictures))
    torch.testing.assert_close(teacher(pictures), expected, rtol=0, atol=1e-6)


def test_it_draws_no_random_number() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_teacher(TEACHER)
    assert torch.equal(torch.rand(4), expected)


def test_pictures_are_brought_to_its_size_channels_and_range() -> None:
    colour = torch.tensor([0.2, 0.6, 1.0]).view(1, 3, 1, 1).expand(2, 3, 8, 8)
    grey_teacher = Teacher(Seen(), Preprocessing(4, 1, (0.5,), (0.25,)))
    luminance = 0.299 * 0.2 + 0.587 * 0.6 + 0.114
    seen = grey_teacher(colour)
    assert seen.shape == (2, 1, 4, 4)
    torch.testing.assert_close(seen, torch.full_like(seen, (luminance - 0.5) / 0.25))
    colour_teacher = Teacher(Seen(), Preprocessing(8, 3, (0.1, 0.2, 0.3), (1.0, 1.0, 0.5)))
    seen = colour_teacher(torch.full((2, 1, 8, 8), 0.4))
    torch.testing.assert_close(seen[:, :, 0, 0], torch.tensor([[0.3, 0.2, 0.2]]).expand(2, 3))


def test_a_damaged_teacher_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TEACHER, tmp_path / "teacher"))
    described = json.loads((folder / "encoder.json").read_text())
    described["config"]["width"] = 3
    (folder / "encoder.json").write_text(json.dumps(described))
    with pytest.raises(SslcliError, match="does not hold the encoder"):
        load_teacher(folder)
    (folder / "encoder.json").unlink()
    with pytest.raises(SslcliError, match=r"has no encoder\.json"):
        load_teacher(folder)
