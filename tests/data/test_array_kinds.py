"""Arrays of other kinds: other classes in test, several labels a picture, alpha, volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.data.arrays import ArraysConfig
from sslcli.data.images import Splits
from sslcli.data.needs import require_labels
from sslcli.data.stored_picture import to_grey_or_rgb
from sslcli.errors import SslcliError

RNG = np.random.default_rng(0)


def labelled(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    """20 training and 10 test pictures of 5 classes, with some arrays replaced."""
    base = {
        "x_train": RNG.integers(0, 256, (20, 4, 4)).astype(np.uint8),
        "y_train": np.arange(20) % 5,
        "x_test": np.full((10, 4, 4), 7, dtype=np.uint8),
        "y_test": np.arange(10) % 5,
    }
    return {**base, **arrays}


def load(path: Path, **arrays: np.ndarray) -> Splits:
    np.savez(path / "a.npz", **labelled(**arrays))  # type: ignore[arg-type]
    return ArraysConfig(root=str(path / "a.npz"), val_fraction=0.25).load()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"y_test": np.arange(10) % 6}, "test labels .*: 5 .these have 0 to 4"),
        ({"y_test": np.arange(10) % 5 + 10}, "test labels .*: 10, 11, 12, 13, 14 "),
        (
            {"x_val": np.zeros((2, 4, 4), np.uint8), "y_val": np.array([0, 7])},
            "val labels .*: 7 ",
        ),
        (
            {"y_test": np.arange(10) % 6, "classes": np.array(list("abcdef"))},
            "test labels .*: 5 ",
        ),
    ],
)
def test_labels_that_training_lacks_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray], named: str
) -> None:
    assert load(tmp_path).num_classes == 5
    with pytest.raises(SslcliError, match=named) as caught:
        load(tmp_path, **change)
    assert "number the classes of all parts alike" in caught.value.fix


def test_several_labels_a_picture_are_not_used_and_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    several = {"y_train": rng.integers(0, 3, (20, 14)), "y_test": rng.integers(0, 3, (10, 14))}
    splits = load(tmp_path, **several)
    assert splits.train.labels is splits.val.labels is splits.classes is None
    assert splits.test is not None
    assert splits.test.labels is None
    assert len(splits.pretraining) == 15
    (warning,) = splits.warnings
    assert warning.startswith("no labels: y_train in ")
    assert warning.endswith("is (20, 14), several labels for each picture, not of 0 and 1")
    with pytest.raises(SslcliError, match=r"linear-eval needs labels, .* is \(20, 14\), several"):
        require_labels(splits, "linear-eval")


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_arrays_lie_on_white_as_files_do(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 8, 8, channels + 1)).astype(np.uint8)
    images[0, 0, :, -1] = [0, 255, 1, 254, 127, 128, 2, 253]
    np.savez(tmp_path / "a.npz", x_train=images)
    splits = ArraysConfig(root=str(tmp_path / "a.npz")).load()
    assert splits.train.channels == channels
    found = {picture.tobytes() for part in (splits.train, splits.val) for picture in part.images[:]}
    expected = {np.asarray(to_grey_or_rgb(Image.fromarray(image))).tobytes() for image in images}
    assert found == expected


@pytest.mark.parametrize(
    ("shape", "what", "fix"),
    [
        ((6, 28, 28, 28), "volumes of 28x28x28, which are not pictures", "x.reshape(-1, 28, 28), "),
        ((6, 9, 28, 28, 3), "volumes of 9x28x28", "x.reshape(-1, 28, 28, 3), "),
        ((6, 3, 28, 28), "the channels are first", "numpy.moveaxis(x, 1, -1)"),
        ((6, 784), "each picture is one row", "x.reshape(-1, H, W)"),
    ],
)
def test_what_an_array_holds_is_said(
    tmp_path: Path, shape: tuple[int, ...], what: str, fix: str
) -> None:
    np.savez(tmp_path / "a.npz", train_images=np.zeros(shape, dtype=np.uint8))
    with pytest.raises(SslcliError) as caught:
        ArraysConfig(root=str(tmp_path / "a.npz")).load()
    assert what in caught.value.message
    assert str(shape) in caught.value.message
    assert fix in caught.value.fix
