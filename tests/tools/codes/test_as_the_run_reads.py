"""Pictures are read, and written, as the run's own were: padded, of 16 bits, of other channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doubles import Sslcli, pictures, pixels
from finished import finished_run
from PIL import Image

from sslcli.data.folder import FolderConfig
from sslcli.data.shape import Shape
from sslcli.method import Preprocessing
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.trained.code_file import read_code_file
from sslcli.trained.coder import load_coder

pytestmark = pytest.mark.slow
ENCODER, METHOD = ConvNetConfig(width=2, bottleneck=5), DenoisingAutoencoderConfig()


def test_a_padded_picture_comes_back_whole_without_its_borders(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for row, picture in enumerate(pictures().images[:20]):
        Image.fromarray(picture[4:12].repeat(2, axis=0).repeat(2, axis=1)).save(
            folder / f"{row}.png"
        )
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side: it stands upright when it is looked at
    with Image.open(folder / "5.png") as lying:
        lying.save(folder / "5.png", exif=exif)
    data = FolderConfig(root=str(folder), resolution=16, channels=3, shape=Shape.pad, fill=1.0)
    run = finished_run(tmp_path / "run", data, METHOD, ENCODER, 0.02)
    outcome = sslcli("encode", str(run), str(folder), "--to", "codes.npz", "--bits", "32")
    assert outcome.status == 0, outcome.err
    assert "not square" not in outcome.err
    coder, loaded = load_coder(run), data.load()
    own = coder.encode_images(loaded.train.images[:]).numpy()
    file = read_code_file(Path("codes.npz"))
    assert (file.origin.shape, file.origin.fill) == ("pad", 1.0)
    for code in own:
        assert np.abs(file.codes - code).max(axis=1).min() < 1e-5, "encoded as training saw it"
    assert sslcli("decode", str(run), "codes.npz", "--to", "back").status == 0
    assert sslcli("decode", str(run), "codes.npz", "--to", "square", "--unscaled").status == 0
    assert pixels(Path("back/5.png")).shape == (32, 16, 3), "upright"
    large, square = pixels(Path("back/3.png")), pixels(Path("square/3.png"))
    assert (large.shape, square.shape) == ((16, 32, 3), (16, 16, 3))
    with Image.fromarray(square[4:12]) as inner:
        again = np.asarray(inner.resize((32, 16), Image.Resampling.BICUBIC))
    assert np.abs(again.astype(int) - large).max() <= 1


@pytest.mark.parametrize("channels", [1, 5])
def test_values_of_16_bits_come_back_in_their_range(
    sslcli: Sslcli, tmp_path: Path, channels: int
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 4096, (12, 16, 16, channels), dtype=np.uint16)
    for row, picture in enumerate(values):
        np.save(folder / f"{row:02d}.npy", picture)
    data = FolderConfig(root=str(folder), resolution=16, range=[0, 4095])
    shape = Preprocessing(16, channels, (0.5,) * channels, (0.25,) * channels, (0.0, 4095.0))
    run = finished_run(tmp_path / "run", data, METHOD, ENCODER, 0.02, shape)
    outcome = sslcli("encode", str(run), str(folder), "--to", "codes.npz", "--bits", "32")
    assert outcome.status == 0, outcome.err
    assert sslcli("decode", str(run), "codes.npz", "--to", "back").status == 0
    coder = load_coder(run)
    unit = (values / 4095).astype(np.float32)
    expected = coder.decode(coder.encode_images(unit)).permute(0, 2, 3, 1).numpy() * 4095
    for row in range(12):
        found = np.load(f"back/{row:02d}.npy")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[row], atol=0.1)
