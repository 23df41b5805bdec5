"""A run's coder gives the codes that training decoded, and the pictures that they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from doubles import pictures
from finished import finished_run

from sslcli.errors import SslcliError
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.runs.folder import Run
from sslcli.trained.able_runs import DECODES, resolve_able_run
from sslcli.trained.coder import BATCH, Coder, load_coder
from sslcli.trained.method import read_method


@pytest.fixture
def coder(tmp_path: Path, photos: Path) -> Coder:
    encoder = ConvNetConfig(width=2, bottleneck=5)
    folder = finished_run(tmp_path / "coding", photos, DenoisingAutoencoderConfig(), encoder, 0.02)
    return load_coder(folder)


def unit() -> torch.Tensor:
    return torch.from_numpy(pictures().images[:]).permute(0, 3, 1, 2) / 255


def test_codes_and_pictures_are_the_methods_in_eval_mode(coder: Coder, tmp_path: Path) -> None:
    method = read_method(tmp_path / "coding")
    codes = coder.encode(unit())
    assert codes.shape == (24, *coder.code_shape) == (24, 5)
    torch.testing.assert_close(codes, method.encoder.code(unit()))
    decoded = coder.decode(codes)
    assert decoded.shape == (24, *coder.picture_shape) == (24, 3, 16, 16)
    torch.testing.assert_close(decoded, method.decode(codes))  # type: ignore[attr-defined]
    assert torch.equal(coder.encode_images(pictures().images), codes)
    assert codes.std(dim=0).min() > 0
    assert (decoded[0] - decoded[1]).abs().max() > 1e-3


def test_many_pictures_keep_their_order_and_none_is_lost(coder: Coder) -> None:
    num = 2 * BATCH + 3
    rows = torch.arange(num) % 24
    codes = coder.encode(unit()[rows])
    assert len(codes) == num
    torch.testing.assert_close(codes, coder.encode(unit())[rows], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(coder.decode(codes)[-1:], coder.decode(codes[-1:]))
    assert coder.decode(codes[:0]).shape == (0, 3, 16, 16)


def test_modes_and_weights_stay_as_they_are(coder: Coder) -> None:
    coder.method.encoder.train()
    before = {name: value.clone() for name, value in coder.method.encoder.state_dict().items()}
    coder.decode(coder.encode(unit()))
    assert coder.method.encoder.training
    after = coder.method.encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_pictures_of_another_size_are_refused(coder: Coder) -> None:
    with pytest.raises(SslcliError, match="the pictures are 15 x 16 pixels"):
        coder.encode_images(pictures().images[:, :15])


def test_a_run_that_decodes_no_codes_is_refused(run: Path, coder: Coder, tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match="holds a SimCLR: it cannot decode codes to pictures"):
        load_coder(run)
    with pytest.raises(SslcliError, match="was trained by simclr: it cannot decode") as caught:
        resolve_able_run(str(run), tmp_path, DECODES)
    assert caught.value.fix == "name a run of denoising_autoencoder or stack-pretrain"
    with Run(run) as newest:
        newest.update(started=2e9)
    assert resolve_able_run("last", tmp_path, DECODES) == tmp_path / "coding"
