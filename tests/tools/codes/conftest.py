"""A finished run that decodes codes, and pictures to encode."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import pictures
from finished import finished_run, write_photos
from PIL import Image

from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import ConvNetConfig


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path)


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Path:
    """An autoencoder of colour pictures 16 x 16, of codes of 5 numbers."""
    return coding_run(tmp_path / "outputs" / "coding", photos)


def coding_run(folder: Path, photos: Path, moved: float = 0.02) -> Path:
    encoder = ConvNetConfig(width=2, bottleneck=5)
    folder.parent.mkdir(exist_ok=True)
    return finished_run(folder, photos, DenoisingAutoencoderConfig(), encoder, moved)


@pytest.fixture
def other_run(tmp_path: Path, photos: Path) -> Path:
    """The same with other weights."""
    return coding_run(tmp_path / "outputs" / "another", photos, 0.03)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of pictures of the run's size, some in a subfolder."""
    folder = tmp_path / "own"
    (folder / "sub").mkdir(parents=True)
    for row, pixels in enumerate(pictures().images[:9]):
        where = folder / "sub" if row > 6 else folder
        Image.fromarray(pixels).save(where / f"p{row}.png")
    return folder
