"""`sslcli encode` and `decode`: a picture becomes what the run makes of its own code, and no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from doubles import Sslcli, pictures, pixels, require_two_lines
from PIL import Image

from sslcli.evaluation.restoration_monitor import as_images
from sslcli.trained.code_file import read_code_file
from sslcli.trained.coder import load_coder


def expected(run: Path, rows: slice) -> np.ndarray:
    """What the run itself makes of some of its pictures."""
    coder = load_coder(run)
    return as_images(coder.decode(coder.encode_images(pictures().images[rows])))


def test_pictures_become_what_their_own_code_says(sslcli: Sslcli, run: Path, own: Path) -> None:
    outcome = sslcli("encode", "last", str(own), "--to", "codes.npz", "--bits", "32")
    assert outcome.status == 0, outcome.err
    assert "encoded: 9 pictures" in outcome.out
    outcome = sslcli("decode", str(run), "codes.npz", "--to", "back")
    assert outcome.status == 0, outcome.err
    found = sorted(path.relative_to("back") for path in Path("back").rglob("*.*"))
    assert found == sorted(path.relative_to(own) for path in own.rglob("*.png"))
    for row, right in enumerate(expected(run, slice(9))):
        name = f"sub/p{row}.png" if row > 6 else f"p{row}.png"
        assert np.array_equal(pixels(Path("back") / name), right), name


@pytest.mark.parametrize("bits", ["8", "6", "4"])
def test_fewer_bits_are_levels_of_the_training_codes(
    sslcli: Sslcli, run: Path, own: Path, bits: str
) -> None:
    assert sslcli("encode", str(run), str(own), "--to", "codes.npz", "--bits", bits).status == 0
    file, coder = read_code_file(Path("codes.npz")), load_coder(run)
    training = coder.encode_images(pictures().images[:]).numpy()
    assert file.quantizer is not None
    assert file.quantizer.bits == int(bits)
    reach = file.quantizer.step * file.quantizer.last
    assert (reach <= (training.max(axis=0) - training.min(axis=0)) * 1.0001).all()
    exact = coder.encode_images(pictures().images[:9]).numpy()
    inside = exact.clip(file.quantizer.low, file.quantizer.low + reach)
    assert (np.abs(file.codes - inside) <= 0.501 * file.quantizer.step + 1e-6).all()
    assert sslcli("decode", str(run), "codes.npz", "--to", "back").status == 0
    decoded = as_images(coder.decode(torch.from_numpy(file.codes)))
    assert np.array_equal(pixels(Path("back/p3.png")), decoded[3])


def test_a_picture_of_another_size_comes_back_in_its_own(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    wide = np.zeros((32, 48, 3), np.uint8)
    middle = pictures().images[0].repeat(2, axis=0).repeat(2, axis=1)
    wide[:, 8:40] = middle
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(np.rot90(middle)).save(
        tmp_path / "turned.jpg", quality=100, exif=turned_right()
    )
    words = ("encode", str(run), "wide.png", "turned.jpg", "--to", "codes.npz", "--bits", "32")
    outcome = sslcli(*words)
    assert outcome.status == 0, outcome.err
    assert "1 of 2 pictures are not square, and only their middle is taken" in outcome.err
    assert sslcli("decode", str(run), "codes.npz", "--to", "back").status == 0
    assert pixels(Path("back/wide.png")).shape == (32, 32, 3), "the square that was kept"
    assert sslcli("decode", str(run), "codes.npz", "--to", "small", "--unscaled").status == 0
    assert pixels(Path("small/wide.png")).shape == (16, 16, 3)
    upright, same = pixels(Path("back/turned.png")), pixels(Path("back/wide.png"))
    assert np.abs(upright.astype(int) - same).mean() < 2, "turned as EXIF says, as in training"


def turned_right() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_what_becomes_of_pictures_is_said(sslcli: Sslcli, run: Path, own: Path) -> None:
    seen = np.dstack([pictures().images[0], np.full((16, 16), 9, np.uint8)])
    Image.fromarray(seen).save(own / "through.png")
    (own / "broken.png").write_bytes(b"nothing")
    outcome = sslcli("encode", str(run), str(own), "--to", "codes.npz")
    assert outcome.status == 1
    assert "1 of 11 pictures are transparent in parts, and laid on white" in outcome.err
    assert "left out:" in outcome.err
    assert "broken.png cannot be decoded" in outcome.err
    names = [picture.name for picture in read_code_file(Path("codes.npz")).pictures]
    assert len(names) == 10
    assert "broken.png" not in names
    outcome = sslcli("encode", str(run), str(own / "broken.png"), "--to", "none.npz")
    require_two_lines(outcome, "broken.png cannot be decoded")
    assert not Path("none.npz").exists()


def test_numbers_outside_the_training_codes_are_counted(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    for name, value in (("black", 0), ("white", 255)):
        Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(tmp_path / f"{name}.png")
    outcome = sslcli("encode", str(run), "black.png", "white.png", "--to", "codes.npz")
    assert outcome.status == 0, outcome.err
    assert "% of the numbers lie outside what training pictures have" in outcome.err


def test_another_runs_codes_are_refused(
    sslcli: Sslcli, run: Path, other_run: Path, own: Path
) -> None:
    assert sslcli("encode", str(run), str(own), "--to", "codes.npz").status == 0
    outcome = sslcli("decode", str(other_run), "codes.npz", "--to", "back")
    fix = require_two_lines(outcome, "holds codes of the run coding", "would mean nothing")
    assert "sslcli decode coding codes.npz" in fix
    assert not Path("back").exists()
    moved = Path(shutil.move(run, run.with_name("elsewhere")))
    assert sslcli("decode", str(moved), "codes.npz", "--to", "back").status == 0


def test_nothing_is_overwritten_unless_it_is_asked_for(
    sslcli: Sslcli, run: Path, own: Path
) -> None:
    words = ("encode", str(run), str(own), "--to", "codes.npz")
    assert sslcli(*words).status == 0
    before = Path("codes.npz").read_bytes()
    require_two_lines(sslcli(*words), "codes.npz exists already")
    assert Path("codes.npz").read_bytes() == before
    assert sslcli(*words, "--force").status == 0
    Path("back").mkdir()
    (Path("back") / "p3.png").write_text("mine")
    back = ("decode", str(run), "codes.npz", "--to", "back")
    require_two_lines(sslcli(*back), "p3.png exists already")
    assert (Path("back") / "p3.png").read_text() == "mine"
    assert len(list(Path("back").iterdir())) == 1
    assert sslcli(*back, "--force").status == 0
    require_two_lines(sslcli("decode", str(run), "codes.npz", "--to", "codes.npz"), "is a file")


def test_mistakes_are_told_before_anything_is_loaded(
    sslcli: Sslcli, run: Path, own: Path, tmp_path: Path
) -> None:
    require_two_lines(sslcli("encode", str(run), "away.png", "--to", "c.npz"), "away.png")
    require_two_lines(sslcli("encode", str(run), str(own), "--to", "c.zip"), "does not end in .npz")
    (tmp_path / "file").write_text("")
    require_two_lines(sslcli("encode", str(run), str(own), "--to", "file/c.npz"), "file is a file")
    shutil.copytree(own, tmp_path / "two")
    outcome = sslcli("encode", str(run), str(own), "two", "--to", "c.npz")
    require_two_lines(outcome, "would be decoded to one file")
    shutil.copy(own / "p1.png", own / "p1.webp")
    require_two_lines(sslcli("encode", str(run), str(own), "--to", "c.npz"), "to one file")
    require_two_lines(sslcli("decode", str(run), "away.npz", "--to", "b"), "cannot be read")


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png", "..", "a\\b.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    sslcli: Sslcli, run: Path, own: Path, name: str
) -> None:
    from dataclasses import replace

    from sslcli.trained.code_file import Picture

    assert sslcli("encode", str(run), str(own), "--to", "codes.npz").status == 0
    file = read_code_file(Path("codes.npz"))
    replace(file, pictures=(Picture(name, 16, 16), *file.pictures[1:])).write(Path("evil.npz"))
    outcome = sslcli("decode", str(run), "evil.npz", "--to", "deep/back")
    require_two_lines(outcome, "would lead out of")
    assert not Path("deep").exists()
