"""`sslcli restore` of 16 bits, floats and many channels: nothing is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from restoring import RNG, MeanFiller, Restore, hole, pixels, save

from sslcli.method import Preprocessing


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_13_channels_are_restored_and_kept(
    run: Restore, filler: MeanFiller, kind: str, suffix: str
) -> None:
    tifffile = pytest.importorskip("tifffile")
    ends = {
        "uint8": None,
        "uint16": (0.0, 65535.0),
        "int16": (-2000.0, 3000.0),
        "float32": (0.0, 9.5),
    }
    filler.preprocessing = Preprocessing(16, 13, (0.0,) * 13, (1.0,) * 13, ends[kind])
    low, high = ends[kind] or (0.0, 255.0)
    picture = (RNG.random((24, 30, 13)) * (high - low) + low).astype(kind)
    if suffix == ".npy":
        np.save("a.npy", picture)
    else:
        tifffile.imwrite("a.tif", picture, photometric="minisblack", planarconfig="contig")
    save("mask.png", hole())
    assert run("last", f"a{suffix}", "--mask", "mask.png").status == 0
    written = Path(f"a_restored{suffix}")
    result = np.load(written) if suffix == ".npy" else tifffile.imread(written)
    assert result.dtype == kind
    mask = hole() > 0
    np.testing.assert_array_equal(result[~mask], picture[~mask])
    around = picture[:16, :16][~mask[:16, :16]].astype(float).mean(axis=0)
    assert np.abs(result[mask].astype(float).mean(axis=0) - around).max() < 0.2 * (high - low)
    assert result[mask].std() < 0.5 * picture[mask].std(), "the hole is filled with means"


def test_a_whole_picture_is_restored_to_within_a_value(run: Restore, filler: MeanFiller) -> None:
    """The double makes it darker by half, exactly."""
    filler.preprocessing = Preprocessing(16, 13, (0.0,) * 13, (1.0,) * 13, (0.0, 65535.0))
    picture = RNG.integers(0, 65536, (24, 30, 13), dtype=np.uint16)
    np.save("a.npy", picture)
    assert run("last", "a.npy").status == 0
    assert np.abs(np.load("a_restored.npy") - picture / 2).max() <= 1


@pytest.mark.parametrize(
    ("channels", "ends", "picture", "said"),
    [
        (3, None, np.zeros((16, 16, 13), np.uint16), "the picture has 13 channels, the network was trained on 3"),
        (1, None, np.full((16, 16), 300, np.int16), "which mean black and white is not known"),
        (1, None, np.full((16, 16), 1.5, np.float32), "are float32 from 1.5 to 1.5"),
        (1, (0.0, 9.0), np.full((16, 16), np.nan, np.float32), "256 values of the picture are NaN"),
    ],
)  # fmt: skip
def test_what_the_network_cannot_be_given_is_refused(
    run: Restore, filler: MeanFiller, channels: int, ends: Any, picture: Any, said: str
) -> None:
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    filler.preprocessing = Preprocessing(16, channels, zeros, ones, ends)
    np.save("a.npy", picture)
    outcome = run("last", "a.npy")
    assert outcome.status == 2
    assert said in outcome.err
    assert not Path("a_restored.npy").exists()


def test_16_bits_stay_16(run: Restore, filler: MeanFiller) -> None:
    filler.preprocessing = Preprocessing(16, 1, (0.0,), (1.0,))
    picture = RNG.integers(0, 65536, (24, 30), dtype=np.uint16)
    save("a.png", picture)
    save("mask.png", hole())
    assert run("last", "a.png", "--mask", "mask.png") == (0, "restored: a_restored.png\n", "")
    result = pixels("a_restored.png")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[hole() == 0], picture[hole() == 0])
    assert (result[hole() > 0] != picture[hole() > 0]).all()
