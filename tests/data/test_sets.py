"""The named sets: the sample, MNIST's files, and those torchvision reads."""

from __future__ import annotations

import gzip
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from sslcli.data import DATA, mnist
from sslcli.data.data_config import DataConfig
from sslcli.errors import SslcliError

RNG = np.random.default_rng(0)


@pytest.mark.commands
def test_importing_the_table_imports_nothing_slow() -> None:
    code = "import sys, sslcli.data; print([m for m in ('torch', 'torchvision', 'PIL') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_sample_is_there() -> None:
    splits = DATA["fashion_sample"]().load()
    assert splits.test is not None
    assert splits.train.labels is not None
    assert splits.val.labels is not None
    assert splits.train.images.shape == (9000, 28, 28, 1)
    assert np.bincount(splits.train.labels).tolist() == [900] * 10
    assert np.bincount(splits.val.labels).tolist() == [100] * 10
    assert len(splits.test) == 2000
    assert splits.classes == mnist.CLOTHES


def test_the_sample_has_no_root() -> None:
    with pytest.raises(SslcliError, match=r"data\.root must be left out"):
        DATA["fashion_sample"](root="somewhere")


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, *, zipped: bool) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "train-images-idx3-ubyte": RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(40) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(10, dtype=np.uint8),
    }
    for name, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return arrays


def check_idx(config: DataConfig, arrays: dict[str, np.ndarray]) -> None:
    splits = config.load()
    assert splits.test is not None
    np.testing.assert_array_equal(splits.test.images[..., 0], arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(splits.test.labels, arrays["t10k-labels-idx1-ubyte"])
    by_pixels = {image.tobytes(): i for i, image in enumerate(arrays["train-images-idx3-ubyte"])}
    for part, size in ((splits.train, 36), (splits.val, 4)):
        found = [by_pixels[np.ascontiguousarray(image).tobytes()] for image in part.images]
        assert len(found) == size
        assert part.labels is not None
        assert part.labels.tolist() == [i % 10 for i in found]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "MNIST/raw"),
        ("mnist", "."),
        ("fashion_mnist", "FashionMNIST/raw"),
        ("fashion_mnist", "."),
    ],
)
def test_idx_files_are_read_where_they_may_lie(
    tmp_path: Path, name: str, folder: str, zipped: bool
) -> None:
    arrays = write_idx(tmp_path / folder, zipped=zipped)
    check_idx(DATA[name](root=str(tmp_path)), arrays)


def test_debians_fashion_mnist_is_found_only_without_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = write_idx(tmp_path / "debian", zipped=True)
    monkeypatch.setattr(mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    check_idx(DATA["fashion_mnist"](), arrays)
    with pytest.raises(SslcliError, match="was not found"):
        DATA["fashion_mnist"](root=str(tmp_path / "own")).load()
    with pytest.raises(SslcliError, match="was not found"):
        DATA["mnist"]().load()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train-images-idx3-ubyte", b""),
        ("train-images-idx3-ubyte", b"\x00\x00\x0d\x03" + bytes(40)),
        ("train-images-idx3-ubyte", b"\x00\x00\x08\x03\x00"),
        ("train-images-idx3-ubyte", idx_bytes(np.zeros((40, 28, 28), np.uint8))[:-1]),
        ("train-images-idx3-ubyte", idx_bytes(np.zeros(40, np.uint8))),
        ("t10k-labels-idx1-ubyte", idx_bytes(np.zeros(11, np.uint8))),
    ],
)
def test_a_broken_idx_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    write_idx(tmp_path, zipped=False)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SslcliError, match=f"{name[:5]}.* is not a whole idx file"):
        DATA["mnist"](root=str(tmp_path)).load()


def test_a_broken_gzip_file_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    for content in (path.read_bytes()[:-100], b"no gzip"):
        path.write_bytes(content)
        with pytest.raises(SslcliError, match=r"train-images-idx3-ubyte.gz is not a whole"):
            DATA["mnist"](root=str(tmp_path)).load()


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision takes any file for the right one."""

    def is_there(path: Any, _md5: Any = None) -> bool:
        return Path(path).is_file()

    for module in ("cifar", "stl10", "svhn"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", is_there)


def colours(count: int, size: int) -> np.ndarray:
    """(N, H, W, C); with rows, columns and channels that cannot be taken for one another."""
    return RNG.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def dump(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


@pytest.mark.usefixtures("trusting")
def test_cifar10(tmp_path: Path) -> None:
    images, folder = colours(60, 32), tmp_path / "cifar-10-batches-py"
    for index, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        rows = images[10 * index : 10 * index + 10].transpose(0, 3, 1, 2).reshape(10, -1)
        dump(folder / name, {"data": rows, "labels": list(range(10))})
    dump(folder / "batches.meta", {"label_names": list("abcdefghij")})
    splits = DATA["cifar10"](root=str(tmp_path), val_fraction=0.2).load()
    check_colour(splits, images[50:], np.arange(10), train=40)
    assert splits.classes == tuple("abcdefghij")


@pytest.mark.usefixtures("trusting")
def test_cifar100_has_the_fine_labels(tmp_path: Path) -> None:
    images, folder = colours(20, 32), tmp_path / "cifar-100-python"
    for index, name in enumerate(["train", "test"]):
        rows = images[10 * index : 10 * index + 10].transpose(0, 3, 1, 2).reshape(10, -1)
        dump(
            folder / name,
            {"data": rows, "fine_labels": list(range(90, 100)), "coarse_labels": [0] * 10},
        )
    dump(folder / "meta", {"fine_label_names": [str(i) for i in range(100)]})
    splits = DATA["cifar100"](root=str(tmp_path)).load()
    check_colour(splits, images[10:], np.arange(90, 100), train=9)
    assert splits.classes is not None
    assert len(splits.classes) == 100


@pytest.mark.usefixtures("trusting")
def test_stl10_has_pictures_without_labels(tmp_path: Path) -> None:
    images, folder = colours(45, 96), tmp_path / "stl10_binary"
    folder.mkdir()
    starts = {"train": 0, "test": 20, "unlabeled": 30, "end": 45}
    for (name, start), stop in zip(starts.items(), list(starts.values())[1:], strict=False):
        images[start:stop].transpose(0, 3, 2, 1).tofile(
            folder / f"{name}_X.bin"
        )  # column by column
        ((np.arange(start, stop) % 10) + 1).astype(np.uint8).tofile(folder / f"{name}_y.bin")
    splits = DATA["stl10"](root=str(tmp_path)).load()
    check_colour(splits, images[20:30], np.arange(10), train=18)
    assert splits.unlabelled is not None
    assert splits.unlabelled.labels is None
    np.testing.assert_array_equal(splits.unlabelled.images, images[30:])
    assert splits.pretraining.images.shape == (33, 96, 96, 3)
    small = DATA["stl10"](root=str(tmp_path), resolution=8).load()
    assert small.pretraining.images.shape == (33, 8, 8, 3)


@pytest.mark.usefixtures("trusting")
def test_svhn_calls_its_label_ten_zero(tmp_path: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    images = colours(40, 32)
    for name, part, count in (("train", images[:20], 20), ("test", images[20:], 20)):
        labels = (np.arange(count) % 10 + 1)[:, None].astype(np.uint8)
        savemat(tmp_path / f"{name}_32x32.mat", {"X": part.transpose(1, 2, 3, 0), "y": labels})
    splits = DATA["svhn"](root=str(tmp_path)).load()
    check_colour(splits, images[20:], (np.arange(20) + 1) % 10, train=18)
    assert splits.classes == tuple("0123456789")


def check_colour(splits: Any, test: np.ndarray, labels: np.ndarray, train: int) -> None:
    np.testing.assert_array_equal(splits.test.images, test)
    np.testing.assert_array_equal(splits.test.labels, labels)
    assert len(splits.train) == train
    for part in (splits.train, splits.val, splits.test):
        assert part.images.dtype == np.uint8
        assert part.images.flags.c_contiguous
        assert part.labels.dtype == np.int64


DOWNLOADED = ["cifar10", "cifar100", "stl10", "svhn", "mnist", "fashion_mnist"]


@pytest.mark.parametrize("name", DOWNLOADED)
@pytest.mark.parametrize("exists", [True, False])
def test_missing_files_are_an_error_with_the_folder_and_the_fix(
    tmp_path: Path, name: str, exists: bool
) -> None:
    root = tmp_path if exists else tmp_path / "nowhere"
    with pytest.raises(SslcliError, match="was not found, or not whole, in ") as caught:
        DATA[name](root=str(root)).load()
    assert caught.value.message.endswith(str(root))
    assert "data.download=true" in caught.value.fix
    assert "data.root" in caught.value.fix


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_download_that_fails_is_an_error_with_the_reason(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    def refuse(_self: object) -> None:
        raise URLError("no network here")

    for dataset in (datasets.CIFAR10, datasets.STL10, datasets.SVHN, datasets.MNIST):
        monkeypatch.setattr(dataset, "download", refuse)
    config: Any = DATA[name]
    with pytest.raises(SslcliError, match=r"could not be downloaded to .*no network here"):
        config(root=str(tmp_path / "new"), download=True).load()


def test_the_cache_is_where_downloads_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arrays = write_idx(tmp_path / "sslcli" / "MNIST" / "raw", zipped=False)
    check_idx(DATA["mnist"](), arrays)
