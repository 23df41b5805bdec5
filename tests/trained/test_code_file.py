"""A file of codes holds what was written, says whose it is, and is refused where it is damaged."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sslcli.errors import SslcliError
from sslcli.evaluation.quantization import BITS, Quantizer
from sslcli.trained.code_file import CodeFile, Origin, Picture, read_code_file

RNG = np.random.default_rng(0)
ORIGIN = Origin("a run", "0123456789ab", "autoencoder", "f" * 16, (2, 3), (1, 8, 8))
CODES = RNG.normal(size=(40, 6)).astype(np.float32)
NAMES = [*(f"one/{number:02d}.png" for number in range(38)), "Ünï.jpg", "\udcff.png"]
PICTURES = tuple(Picture(name, 30 + row, 20) for row, name in enumerate(NAMES))
EXACT = CodeFile(ORIGIN, PICTURES, CODES)


def test_exact_codes_come_back_bit_for_bit(tmp_path: Path) -> None:
    EXACT.write(tmp_path / "new" / "codes.npz")
    found = read_code_file(tmp_path / "new" / "codes.npz")
    assert (found.origin, found.pictures, found.quantizer) == (ORIGIN, PICTURES, None)
    assert np.array_equal(found.codes, CODES)
    assert EXACT.content() == EXACT.content(), "no time of writing is in it"


@pytest.mark.parametrize("bits", BITS)
def test_quantised_codes_come_back_as_their_levels_say(tmp_path: Path, bits: int) -> None:
    quantizer = Quantizer.of(CODES, bits)
    origin = replace(ORIGIN, range=(-5.0, 4095.0), shape="pad", fill=0.25)
    CodeFile(origin, PICTURES, CODES, quantizer).write(tmp_path / "codes.npz")
    found = read_code_file(tmp_path / "codes.npz")
    assert found.origin == origin
    assert np.array_equal(found.codes, quantizer.values(quantizer.levels(CODES)))
    assert found.quantizer is not None
    assert found.quantizer.bits == bits
    with np.load(tmp_path / "codes.npz") as arrays:  # as the documentation says, by numpy alone
        about = json.loads(bytes(arrays["about"]))
        assert about["pictures"][3] == ["one/03.png", 33, 20]
        assert sorted(arrays.files) == ["about", "codes", "low", "step"]


def changed(path: Path, **arrays: Any) -> None:
    """Writes a file whose arrays, or facts of `about`, are others."""
    with np.load(path) as found:
        content = {name: found[name] for name in found.files}
    about = json.loads(bytes(content["about"]))
    for name, value in arrays.items():
        if isinstance(value, np.ndarray):
            content[name] = value
        else:
            about[name] = value
    content["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, **content)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": [["a.png", 3, 3]] * 39},
        {"pictures": [["a.png", 3, 3]] * 41},
        {"pictures": [["a.png", 3, 0]] * 40},
        {"pictures": [["a.png", 10**6, 10**6]] * 40},
        {"pictures": [["a.png", 3]] * 40},
        {"code_shape": [7]},
        {"bits": 5},
        {"bits": 4},
        {"coding": "runes"},
        {"low": np.zeros(5, np.float32)},
        {"low": np.zeros(6)},
        {"step": np.full(6, np.inf, np.float32)},
        {"codes": np.zeros(9, np.uint8)},
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    path = tmp_path / "codes.npz"
    CodeFile(ORIGIN, PICTURES, CODES, Quantizer.of(CODES, 8)).write(path)
    assert read_code_file(path).codes.shape == (40, 6)
    changed(path, **arrays)
    with pytest.raises(SslcliError, match="is damaged, or no file of codes"):
        read_code_file(path)


def test_other_files_and_newer_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "codes.npz"
    with pytest.raises(SslcliError, match="cannot be read: No such file"):
        read_code_file(path)
    with pytest.raises(SslcliError, match="cannot be read: Is a directory"):
        read_code_file(tmp_path)
    for content in (b"", b"no archive", EXACT.content()[:-40], npy()):
        path.write_bytes(content)
        with pytest.raises(SslcliError, match="is damaged, or no file of codes"):
            read_code_file(path)
    np.savez(path, x=CODES)
    with pytest.raises(SslcliError, match="is no file of codes"):
        read_code_file(path)
    EXACT.write(path)
    changed(path, format=2)
    with pytest.raises(SslcliError, match="written by a newer sslcli: format 2"):
        read_code_file(path)


def npy() -> bytes:
    content = io.BytesIO()
    np.save(content, CODES)
    return content.getvalue()


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "codes.npz"
    EXACT.write(path)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("codes.npy")
    content = bytearray(path.read_bytes())
    content[member.header_offset + 60 + member.compress_size // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(SslcliError, match="is damaged"):
        read_code_file(path)
