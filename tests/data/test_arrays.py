"""One .npz: the keys it may have, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.data.arrays import ArraysConfig
from sslcli.data.images import Splits
from sslcli.errors import SslcliError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 8, 8), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(20) % 2


def load(folder: Path, *, resolution: int | None = None, **arrays: object) -> Splits:
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    return ArraysConfig(root=str(folder / "a.npz"), resolution=resolution).load()


def test_all_parts_are_read_as_they_are(tmp_path: Path) -> None:
    splits = load(
        tmp_path,
        x_train=COLOUR,
        y_train=LABELS,
        x_val=COLOUR[:4],
        y_val=LABELS[:4],
        x_test=COLOUR[:6],
        y_test=LABELS[:6],
        classes=np.array(["cat", "dog"]),
    )
    assert splits.test is not None
    np.testing.assert_array_equal(splits.train.images, COLOUR)
    np.testing.assert_array_equal(splits.train.labels, LABELS)
    np.testing.assert_array_equal(splits.val.images, COLOUR[:4])
    np.testing.assert_array_equal(splits.test.labels, LABELS[:6])
    assert splits.classes == ("cat", "dog")


def test_medmnist_is_read(tmp_path: Path) -> None:
    column = LABELS[:, None].astype(np.uint8)
    splits = load(
        tmp_path,
        train_images=GREY,
        train_labels=column,
        val_images=GREY[:4],
        val_labels=column[:4],
        test_images=GREY[:6],
        test_labels=column[:6],
    )
    assert splits.train.images.shape == (20, 8, 8, 1)
    assert splits.train.labels is not None
    assert splits.train.labels.dtype == np.int64
    assert splits.train.labels.tolist() == LABELS.tolist()
    assert (len(splits.val), len(splits.test or ())) == (4, 6)


@pytest.mark.parametrize("pictures", ["x_{}", "{}_images"])
def test_labels_may_have_the_other_naming(tmp_path: Path, pictures: str) -> None:
    labels = "{}_labels" if pictures == "x_{}" else "y_{}"
    given = {pictures.format("train"): COLOUR, pictures.format("test"): COLOUR[:6]}
    named = {labels.format("train"): LABELS, labels.format("test"): LABELS[:6]}
    splits = load(tmp_path, **given, **named)
    assert splits.test is not None
    assert splits.test.labels is not None
    assert splits.test.labels.tolist() == LABELS[:6].tolist()
    assert splits.classes == ("0", "1")
    numbers = load(tmp_path, **given, **{key: of / 2 for key, of in named.items()})
    assert numbers.target_names == (labels.format("train"),)


def test_labels_of_other_pictures_are_not_taken(tmp_path: Path) -> None:
    splits = load(tmp_path, x_train=COLOUR, train_images=GREY, train_labels=LABELS)
    assert splits.train.channels == 3
    assert splits.train.labels is None
    both = {"y_train": LABELS * 0, "train_labels": LABELS}
    splits = load(tmp_path, x_train=COLOUR, train_images=GREY, **both)
    assert splits.classes == ("0",)


def test_labels_validation_and_test_may_be_missing(tmp_path: Path) -> None:
    splits = load(tmp_path, x_train=GREY)
    assert splits.train.labels is None
    assert splits.classes is None
    assert splits.test is None
    assert (len(splits.train), len(splits.val)) == (18, 2)


def test_labels_of_any_numbers_are_renumbered_and_named_by_them(tmp_path: Path) -> None:
    splits = load(
        tmp_path, x_train=GREY, y_train=LABELS * 7 + 1, x_val=GREY[:2], y_val=np.array([8, 1])
    )
    assert splits.classes == ("1", "8")
    assert splits.train.labels is not None
    assert splits.train.labels.tolist() == LABELS.tolist()
    assert splits.val.labels is not None
    assert splits.val.labels.tolist() == [1, 0]


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_resolution_resizes_as_pil_does(tmp_path: Path, images: np.ndarray) -> None:
    splits = load(tmp_path, resolution=5, x_train=images, x_val=images[:3])
    expected = Image.fromarray(images[7]).resize((5, 5), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(splits.train.images[7].squeeze(), np.asarray(expected))
    assert splits.val.resolution == 5


def test_oblong_pictures_need_a_resolution(tmp_path: Path) -> None:
    wide = np.zeros((10, 6, 12), dtype=np.uint8)
    wide[:, :, 3:9] = 255
    with pytest.raises(SslcliError, match="must be square, got 6x12"):
        load(tmp_path, x_train=wide)
    assert (load(tmp_path, resolution=6, x_train=wide).train.images == 255).all()


WRONG = [
    ({"x_train": GREY.astype(np.float32)}, r"x_train .* must be in \[0, 1\], .* got from 0 to 255"),
    ({"x_train": GREY[0]}, r"x_train .* got uint8 \(8, 8\)"),
    ({"x_train": COLOUR.transpose(0, 3, 1, 2)}, r"x_train .* got uint8 \(20, 3, 8, 8\)"),
    ({"x_train": GREY[:0]}, "x_train .* has no pictures"),
    ({"x_train": GREY, "y_train": LABELS[:-1]}, r"y_train .* of 20 pictures, .* got int64 \(19,\)"),
    ({"x_train": GREY, "y_train": LABELS * 1j}, "y_train .* whole numbers, got complex128"),
    (
        {"x_train": GREY, "y_train": LABELS.astype(object)},
        "y_train .* cannot be read: Object arrays",
    ),
    (
        {"x_train": GREY, "x_test": COLOUR},
        r"test pictures .* \(8, 8, 3\), the train pictures \(8, 8, 1\)",
    ),
    ({"x_train": GREY, "x_val": GREY[:, :6, :6]}, "the val pictures"),
    (
        {"x_train": GREY, "y_train": LABELS, "classes": np.array(["a"])},
        "must name the labels 0 to 1",
    ),
    ({"x_train": GREY, "y_train": LABELS - 1, "classes": np.array(["a", "b"])}, "labels -1 to 0"),
    ({"x_test": GREY}, "has neither x_train nor train_images; its keys are x_test"),
]


@pytest.mark.parametrize(("arrays", "message"), WRONG)
def test_a_wrong_key_is_named_with_what_was_found(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    with pytest.raises(SslcliError, match=message):
        load(tmp_path, **arrays)


def test_what_is_no_npz_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", x_train=GREY)
    (tmp_path / "text.npz").write_text("no zip")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:700])
    cases = {
        "nowhere.npz": "does not exist",
        "": "is a folder, and has no x_train.npy",
        "text.npz": "is not an .npz file",
        "empty.npz": "is not an .npz file",
        "cut.npz": "is not an .npz file",
    }
    for name, message in cases.items():
        with pytest.raises(SslcliError, match=message):
            ArraysConfig(root=str(tmp_path / name)).load()
