"""Which values of files are black and white is kept with an encoder, and used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from doubles import PREPROCESSING
from PIL import Image

from sslcli.errors import SslcliError
from sslcli.experiments.session import warn_of_other_range
from sslcli.nets.description import read_description
from sslcli.nets.encoder_config import MLPConfig
from sslcli.trained.encoder import write_encoder
from sslcli.trained.pretrained_encoder import PretrainedEncoder

CONFIG = MLPConfig(widths=[4])
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("ends", [None, (0.0, 65535.0), (-1024.0, 3071.5)])
def test_a_range_is_written_and_read_back(tmp_path: Path, ends: tuple[float, float] | None) -> None:
    shape = replace(PREPROCESSING, range=ends)
    write_encoder(tmp_path, CONFIG.build(3, 16), CONFIG, shape, seed=0)
    assert read_description(tmp_path).preprocessing == shape
    assert ('"range"' in (tmp_path / "encoder.json").read_text()) == (ends is not None)


@pytest.mark.parametrize("kind", ["uint16", ">u2", "int32", "float64"])
def test_arrays_of_file_values_are_read_by_the_range_of_training(kind: str) -> None:
    encoder = PretrainedEncoder(CONFIG.build(3, 16), replace(PREPROCESSING, range=(0.0, 4095.0)))
    values = RNG.integers(0, 4096, (5, 16, 16, 3))
    unit = torch.tensor(values / 4095, dtype=torch.float32).permute(0, 3, 1, 2)
    found = encoder.preprocess(values.astype(kind))
    torch.testing.assert_close(found, PREPROCESSING.normalized(unit), rtol=0, atol=1e-6)


def test_a_pil_picture_is_read_by_the_range_of_training() -> None:
    encoder = PretrainedEncoder(CONFIG.build(3, 16), replace(PREPROCESSING, range=(0.0, 100.0)))
    values = RNG.integers(0, 200, (2, 16, 16, 3), dtype=np.uint8)
    found = encoder.preprocess([Image.fromarray(picture) for picture in values])
    torch.testing.assert_close(found, encoder.preprocess(values))
    with pytest.raises(SslcliError, match="PIL's mode I;16 is read as 8 bits"):
        encoder.preprocess([Image.fromarray(np.zeros((16, 16), np.uint16))])


def test_all_whole_depths_mean_the_same() -> None:
    encoder = PretrainedEncoder(CONFIG.build(3, 16), replace(PREPROCESSING, range=(0.0, 65535.0)))
    eight = RNG.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    found = [encoder.features(x) for x in (eight, eight.astype(np.uint16) * np.uint16(257), eight / np.float32(255))]  # fmt: skip
    for same in found[1:]:
        torch.testing.assert_close(same, found[0], rtol=1e-4, atol=1e-5)


def test_values_without_a_meaning_are_refused() -> None:
    encoder = PretrainedEncoder(CONFIG.build(3, 16), PREPROCESSING)
    with pytest.raises(SslcliError, match="which mean black and white is not known"):
        encoder.features(np.full((2, 16, 16, 3), 3.0, np.float32))


@pytest.mark.parametrize(
    ("trained", "given", "warned"),
    [
        (None, None, False),
        (None, (0.0, 65535.0), False),
        ((0.0, 4095.0), (0.0, 4095.0), False),
        ((0.0, 4095.0), (0.0, 65535.0), True),
        ((0.0, 4095.0), None, True),
        (None, (0.0, 4095.0), False),
    ],
)
def test_other_values_than_in_training_are_warned_of(
    trained: Any, given: Any, warned: bool
) -> None:
    said: list[str] = []
    session: Any = SimpleNamespace(
        splits=SimpleNamespace(range=given), console=SimpleNamespace(warn=said.append)
    )
    warn_of_other_range(session, replace(PREPROCESSING, range=trained))
    assert bool(said) == warned
    if warned:
        low, high = trained or (0, 255)
        assert f"data.range=[{low:g},{high:g}] reads them as in training" in said[0]
