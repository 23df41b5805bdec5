"""`sslcli edit` writes what is asked for, keeps the rest, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doubles import pixels as coloured
from doubles import require_two_lines
from editing import RNG, Edit, two_classes
from PIL import Image


def save(name: str, array: np.ndarray, **options: object) -> Path:  # type: ignore[type-arg]
    Image.fromarray(array).save(name, **options)  # type: ignore[arg-type]
    return Path(name)


def left() -> np.ndarray:  # type: ignore[type-arg]
    return two_classes()[0][0]


def test_a_picture_becomes_one_of_the_class(edited: Edit) -> None:
    before = left()
    save("a.png", before)
    outcome = edited("a.png", "--towards", "right")
    assert outcome.status == 0, outcome.err
    assert "seen in its code: left before, right after" in outcome.out
    after = coloured(Path("a_edited.png")).astype(float)
    assert after[:, 8:, 2].mean() > 120 > 70 > after[:, :8, 0].mean()
    assert np.abs(after[..., 1] - before[..., 1]).mean() < 15
    assert (coloured(Path("a.png")) == before).all()


def test_no_strength_keeps_every_pixel_with_alpha_and_exif(edited: Edit) -> None:
    with_alpha = RNG.integers(0, 256, (30, 20, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a note"
    save("a.png", with_alpha, exif=exif)
    assert edited("a.png", "--towards", "right", "--strength", 0).status == 0
    with Image.open("a_edited.png") as written:
        np.testing.assert_array_equal(np.array(written), np.rot90(with_alpha, -1))
        assert written.getexif()[0x010E] == "a note"
        assert written.getexif()[0x0112] == 1


def test_both_ends_between_two_pictures_are_the_pictures(edited: Edit) -> None:
    first, last = left(), two_classes()[0][1]
    save("a.png", first)
    save("b.png", last)
    outcome = edited("a.png", "--between", "b.png", "--as", "pictures", "--frames", 3)
    assert outcome.status == 0, outcome.err
    frames = [coloured(Path(f"a_edited/{number:03}.png")) for number in range(3)]
    np.testing.assert_array_equal(frames[0], first)
    assert np.abs(frames[2].astype(int) - last).max() <= 1
    mean = (first.astype(float) + last) / 2
    assert np.abs(frames[1] - mean).max() <= 1, "a code of pixels lies on the mean"
    assert len(list(Path("a_edited").iterdir())) == 3


def test_another_size_between_two_pictures(edited: Edit) -> None:
    save("a.png", np.full((20, 40, 3), 200, np.uint8))
    save("b.png", np.full((50, 30, 3), 100, np.uint8))
    assert edited("a.png", "--between", "b.png", "--as", "picture", "--strength", 1).status == 0
    after = coloured(Path("a_edited.png"))
    assert after.shape == (20, 40, 3)
    assert (after[:, :10] == 200).all()
    assert (after[:, 14:26] == 100).all()


def test_what_becomes_of_a_picture_that_is_not_square_by_an_odd_number(edited: Edit) -> None:
    first = RNG.integers(0, 256, (16, 33, 3), dtype=np.uint8)
    save("a.png", first)
    save("b.png", left())
    assert edited("a.png", "--between", "b.png", "--as", "picture", "--strength", 1).status == 0
    after = coloured(Path("a_edited.png"))
    inside = after[:, 9:23].astype(int) - left()[:, 1:15]
    assert np.abs(inside).max() <= 1, "nothing of the first is left"
    assert (after[:, :8] == first[:, :8]).all()
    assert (after[:, 24:] == first[:, 24:]).all()


def test_a_strip_and_a_film_hold_the_same_frames(edited: Edit) -> None:
    save("a.png", left())
    words = ("a.png", "--towards", "right", "--frames", 4, "--as")
    assert edited(*words, "strip").status == 0
    strip = coloured(Path("a_edited.png"))
    assert strip.shape == (16, 64, 3)
    np.testing.assert_array_equal(strip[:, :16], left())
    assert edited(*words, "animation").status == 0
    with Image.open("a_edited.webp") as film:
        assert film.n_frames == 6
        for frame, column in enumerate((0, 1, 2, 3, 2, 1)):
            film.seek(frame)
            shown = np.asarray(film.convert("RGB"))
            np.testing.assert_array_equal(shown, strip[:, 16 * column : 16 * column + 16])
    amounts = [
        float(
            strip[
                :,
                16 * c : 16 * c + 16,
                :8,
            ][..., 0].mean()
        )
        for c in range(4)
    ]
    assert amounts == sorted(amounts, reverse=True)


def test_sixteen_bits_stay_so(edited: Edit) -> None:
    picture = RNG.integers(0, 65536, (16, 16, 3), dtype=np.uint16)
    np.save("a.npy", picture)
    assert edited("a.npy", "--towards", "right", "--strength", 0.2).status == 0
    after = np.load("a_edited.npy")
    assert after.dtype == np.uint16
    assert (after != picture).mean() > 0
    assert len(np.unique(after % 257)) > 200, "no bits were lost"
    fix = require_two_lines(edited("a.npy", "--towards", "left", "--as", "animation"), "8 bits")
    assert "--as strip" in fix


def test_nothing_is_overwritten(edited: Edit) -> None:
    save("a.png", left())
    save("a_edited.png", left())
    outcome = edited("a.png", "--towards", "right")
    require_two_lines(outcome, "a_edited.png exists already")
    assert (coloured(Path("a_edited.png")) == left()).all()
    assert edited("a.png", "--towards", "right", "--force").status == 0
    assert (coloured(Path("a_edited.png")) != left()).any()
    outcome = edited("a.png", "--towards", "right", "--force", "--output", "a.png")
    require_two_lines(outcome, "a.png is one of the pictures to edit")
    Path("a_edited").mkdir()
    (Path("a_edited") / "003.png").write_bytes(b"mine")
    outcome = edited("a.png", "--towards", "right", "--as", "pictures")
    require_two_lines(outcome, "003.png exists already")


def test_a_folder_is_edited_but_for_what_is_no_picture(edited: Edit) -> None:
    Path("many/inner").mkdir(parents=True)
    save("many/a.png", left())
    save("many/inner/b.png", left())
    Path("many/broken.png").write_bytes(b"no picture")
    outcome = edited("many", "--towards", "right")
    assert outcome.status == 1
    assert "left out: many/broken.png" in outcome.err
    assert "edited: 2 of 3 pictures" in outcome.out
    written = sorted(path.as_posix() for path in Path("many_edited").rglob("*.png"))
    assert written == ["many_edited/a.png", "many_edited/inner/b.png"]
    np.testing.assert_array_equal(coloured(Path(written[0])), coloured(Path(written[1])))


def test_other_data_than_the_runs_are_refused(edited: Edit, run: Path) -> None:
    save("a.png", left())
    images, labels = two_classes()
    np.savez("photos.npz", x_train=255 - images, y_train=labels)
    require_two_lines(edited("a.png", "--towards", "right"), "the data changed since the run began")
    assert edited("a.png", "--between", "a.png").status == 0, "which needs no data"
    Path("photos.npz").unlink()
    fix = require_two_lines(edited("a.png", "--towards", "right", "--force"), "are not at")
    assert "--data-root" in fix


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing says how"),
        (("--between", "b.png", "--towards", "left"), "takes no other direction"),
        (("--between", "b.png", "--strength", "2"), "beyond the two pictures"),
        (("--direction", "0=1"), "must be a number from 1"),
        (("--direction", "1"), "must be a name, =, and a number"),
        (("--attribute", "age=nan"), "must be a name, =, and a number"),
        (("--attribute", "age=1", "--attribute", "age=2"), "age is given twice"),
        (("--direction", "1=1", "--direction", "01=2"), "1 is given twice"),
        (("--direction", "1=1", "--by", "mean"), "there is no --towards"),
        (("--direction", "1=1", "--frames", "3"), "one is written"),
        (("--direction", "1=1", "--as", "strip", "--frames", "1"), "must be 2 to 200"),
        (("--direction", "1=1", "--strength", "inf"), "must be a number"),
        (("--direction", "1=1", "--as", "animation", "--output", "x.png"), "is a .webp"),
    ],
)
def test_what_cannot_be_honoured_is_refused_at_once(
    edited: Edit, words: tuple[str, ...], said: str
) -> None:
    save("a.png", left())
    require_two_lines(edited("a.png", *words), said)
    assert not Path("a_edited.png").exists()
