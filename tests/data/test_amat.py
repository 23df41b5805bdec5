"""The .amat files of Larochelle et al. 2007: found, read, turned upright, split as published; broken ones named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sslcli.data.amat import AmatConfig
from sslcli.data.images import Splits
from sslcli.errors import SslcliError

ROT = (
    "mnist_all_rotation_normalized_float_train_valid.amat",
    "mnist_all_rotation_normalized_float_test.amat",
)
BASIC = ("mnist_train.amat", "mnist_test.amat")
CONVEX = ("convex_train.amat", "50k/convex_test.amat")
BLANK = " ".join(["0"] * 784)


def pictures(count: int) -> np.ndarray:
    """(N, 28, 28) uint8, no two alike, none like itself transposed."""
    return np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def rows(images: np.ndarray) -> str:
    """As in the files: the pixels in [0, 1], then the label as a float; picture i has the label i % 3."""
    lines = [" ".join(f"{pixel / 255:.7f}" for pixel in image.ravel()) for image in images]
    return "".join(f" {line} {i % 3:.1f}\n" for i, line in enumerate(lines))


def write(folder: Path, train: np.ndarray, test: np.ndarray, names: tuple[str, str] = ROT) -> Path:
    for name, images in zip(names, (train, test), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(rows(images))
    return folder


def load(root: Path, **settings: object) -> Splits:
    return AmatConfig(root=str(root), **settings).load()  # type: ignore[arg-type]


def test_pixels_and_labels_are_read_and_pictures_turned_upright(tmp_path: Path) -> None:
    images = pictures(8)
    splits = load(
        write(tmp_path, images.transpose(0, 2, 1), images[:4].transpose(0, 2, 1)), num_val=2
    )
    assert splits.test is not None
    assert splits.train.labels is not None
    np.testing.assert_array_equal(splits.train.images[..., 0], images[:6])
    np.testing.assert_array_equal(splits.val.images[..., 0], images[6:])
    np.testing.assert_array_equal(splits.test.images[..., 0], images[:4])
    assert splits.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert splits.train.images.dtype == np.uint8
    assert splits.train.images.flags.c_contiguous
    assert splits.train.labels.dtype == np.int64
    assert splits.classes == ("0", "1", "2")


def test_the_plain_digits_are_upright_in_their_file(tmp_path: Path) -> None:
    images = pictures(6)
    write(tmp_path, images, images[:2], BASIC)
    as_stored = load(tmp_path, num_val=2)
    turned = load(tmp_path, num_val=2, transposed=True)
    np.testing.assert_array_equal(as_stored.train.images[..., 0], images[:4])
    np.testing.assert_array_equal(turned.train.images[..., 0], images[:4].transpose(0, 2, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "num_val"),
    [pytest.param(12_000, 2_000, marks=pytest.mark.large), (1_200, 200)],
)
def test_the_last_rows_are_validation_as_published(
    tmp_path: Path, count: int, num_val: int
) -> None:
    write(tmp_path, pictures(0), pictures(5))
    (tmp_path / ROT[0]).write_text("".join(f"{BLANK} {i % 10}.0\n" for i in range(count)))
    splits = load(tmp_path, limit=100)
    assert splits.val.labels is not None
    assert splits.val.labels.tolist() == [i % 10 for i in range(count - num_val, count)]
    assert (len(splits.train), len(splits.val), len(splits.test or ())) == (100, num_val, 5)


def test_any_other_size_is_split_by_val_fraction_unless_num_val_says(tmp_path: Path) -> None:
    write(tmp_path, pictures(20), pictures(3), CONVEX)
    assert [
        len(part) for part in (load(tmp_path, val_fraction=0.25).train, load(tmp_path).val)
    ] == [15, 2]
    named = load(tmp_path, num_val=7)
    np.testing.assert_array_equal(named.val.images[..., 0], pictures(20)[13:].transpose(0, 2, 1))
    assert len(named.test or ()) == 3


def test_the_training_file_can_be_named_where_a_folder_holds_several(tmp_path: Path) -> None:
    write(tmp_path, pictures(6), pictures(2))
    write(tmp_path, pictures(8), pictures(3), BASIC)
    with pytest.raises(
        SslcliError, match=f"holds several training files: {ROT[0]}, {BASIC[0]}"
    ) as caught:
        load(tmp_path)
    assert caught.value.fix == f"choose one: data.root={tmp_path / ROT[0]}"
    for names, count in ((ROT, 2), (BASIC, 3)):
        splits = load(tmp_path / names[0], num_val=2)
        assert len(splits.test or ()) == count


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match=r"data.root does not exist: .*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(SslcliError, match=r"there is no training file, \*train\*.amat, in"):
        load(tmp_path)
    (tmp_path / ROT[0]).write_text(rows(pictures(2)))
    with pytest.raises(SslcliError, match=f"has no test file beside it: {tmp_path / ROT[1]}"):
        load(tmp_path)
    (tmp_path / ROT[1]).write_text(rows(pictures(2)))
    with pytest.raises(SslcliError, match="is not named like a training file"):
        load(tmp_path / ROT[1])


WRONG = {
    f"{BLANK}\n": "row 2 of .* has 784 columns instead of 785",
    f"{BLANK} 0 0\n": "row 2 of .* has 786 columns",
    "PK\x03\x04\n": "row 2 of .* has 1 columns",
    f"x{BLANK} 0\n": "row 2 of .* is not all numbers: .*x0",
    f"1.5{BLANK[1:]} 0\n": "row 2 of .* has a pixel outside 0 to 1: 1.5",
    f"-0.1{BLANK[1:]} 0\n": "row 2 of .* has a pixel outside 0 to 1: -0.1",
    f"nan{BLANK[1:]} 0\n": "row 2 of .* has a pixel outside 0 to 1: nan",
    f"{BLANK} 0.5\n": "row 2 of .* has the label 0.5",
    f"{BLANK} -1\n": "row 2 of .* has the label -1",
    f"{BLANK} inf\n": "row 2 of .* has the label inf",
}


@pytest.mark.parametrize(("line", "message"), WRONG.items())
def test_a_damaged_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, pictures(3), pictures(2))
    (tmp_path / ROT[1]).write_text(f"{BLANK} 1\n{line}{BLANK} 0\n")
    with pytest.raises(SslcliError, match=message) as caught:
        load(tmp_path)
    assert ROT[1] in caught.value.message


def test_a_row_is_counted_over_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslcli.data.amat.BLOCK", 4000)  # two rows or so
    write(tmp_path, pictures(9), pictures(2))
    assert len(load(tmp_path, num_val=1).train) == 8
    with (tmp_path / ROT[0]).open("a") as file:
        file.write("\n1 2 3\n")
    with pytest.raises(SslcliError, match=r"row 11 of .* has 3 columns"):
        load(tmp_path)


def test_an_empty_file_and_a_split_that_leaves_nothing_are_errors(tmp_path: Path) -> None:
    write(tmp_path, pictures(4), pictures(2))
    with pytest.raises(
        SslcliError, match=r"data\.num_val must be below the training file's 4 rows, got 4"
    ):
        load(tmp_path, num_val=4)
    with pytest.raises(SslcliError, match=r"data\.num_val must be positive, got 0"):
        AmatConfig(num_val=0)
    (tmp_path / ROT[1]).write_text("\n")
    with pytest.raises(SslcliError, match="has no rows"):
        load(tmp_path)
