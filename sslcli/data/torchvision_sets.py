"""Loads the data sets that torchvision reads and downloads.

They are taken over whole instead of picture by picture.
"""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet, Splits, Track, untracked
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError
from sslcli.settings import setting

STL10_CLASSES = (
    "airplane",
    "bird",
    "car",
    "cat",
    "deer",
    "dog",
    "horse",
    "monkey",
    "ship",
    "truck",
)


@dataclass(kw_only=True)
class TorchvisionConfig(DataConfig):
    """Holds the settings of the sets that can be downloaded."""

    root: str | None = setting(
        None,
        "folder the files are in, or are downloaded to; null: ~/.cache/sslcli",
        changes_results=False,
    )
    download: bool = setting(
        False, "download the files where they are missing", changes_results=False
    )


@dataclass(kw_only=True)
class CIFAR10Config(TorchvisionConfig):
    """Loads 50,000 + 10,000 photographs, 32x32 colour, 10 classes.

    Source: Krizhevsky 2009.
    """

    def load(self, track: Track = untracked) -> Splits:
        root = self.location()
        with translate_errors("CIFAR-10", root, "cifar-10-batches-py", download=self.download):
            from torchvision.datasets import CIFAR10

            train = CIFAR10(root, train=True, download=self.download)
            test = CIFAR10(root, train=False)
        return self.split_and_resize(_cifar(train, test), track)


@dataclass(kw_only=True)
class CIFAR100Config(TorchvisionConfig):
    """Loads 50,000 + 10,000 photographs, 32x32 colour, 100 classes.

    Source: Krizhevsky 2009.
    """

    def load(self, track: Track = untracked) -> Splits:
        root = self.location()
        with translate_errors("CIFAR-100", root, "cifar-100-python", download=self.download):
            from torchvision.datasets import CIFAR100

            train = CIFAR100(root, train=True, download=self.download)
            test = CIFAR100(root, train=False)
        return self.split_and_resize(_cifar(train, test), track)


@dataclass(kw_only=True)
class STL10Config(TorchvisionConfig):
    """Loads 5,000 + 8,000 photographs, 96x96 colour, 10 classes; 100,000 unlabelled.

    Source: Coates et al. 2011.
    """

    def load(self, track: Track = untracked) -> Splits:
        root = self.location()
        with translate_errors("STL-10", root, "stl10_binary", download=self.download):
            from torchvision.datasets import STL10

            train = STL10(root, split="train", download=self.download)
            stored = StoredParts(
                train=_channels_last(train.data, train.labels),
                unlabelled=_channels_last(STL10(root, split="unlabeled").data),
                test=_channels_last((test := STL10(root, split="test")).data, test.labels),
                classes=STL10_CLASSES,
            )
        return self.split_and_resize(stored, track)


@dataclass(kw_only=True)
class SVHNConfig(TorchvisionConfig):
    """Loads 73,257 + 26,032 house numbers, 32x32 colour, 10 digits.

    The `extra` part is left out. Source: Netzer et al. 2011.
    """

    def load(self, track: Track = untracked) -> Splits:
        root = self.location()
        with translate_errors(
            "SVHN", root, "train_32x32.mat and test_32x32.mat", download=self.download
        ):
            from torchvision.datasets import SVHN

            train, test = (
                SVHN(root, split=split, download=self.download) for split in ("train", "test")
            )
        stored = StoredParts(
            train=_channels_last(train.data, train.labels),
            test=_channels_last(test.data, test.labels),
            classes=tuple("0123456789"),
        )
        return self.split_and_resize(stored, track)


@contextmanager
def translate_errors(name: str, root: Path, files: str, *, download: bool) -> Iterator[None]:
    """Turns torchvision's errors into SslcliError, and hides its warnings."""
    if not download and not root.exists():  # said at once, before torchvision is imported
        raise not_found_error(name, root, files)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise SslcliError(
            f"{name} cannot be read without {error.name}", f"pip install {error.name}"
        ) from error
    except (OSError, RuntimeError, HTTPException, EOFError, tarfile.TarError) as error:
        if not download:
            raise not_found_error(name, root, files) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SslcliError(
            f"{name} could not be downloaded to {root}: {reason}",
            f"check the network, or copy {files} there yourself (data.root names the folder)",
        ) from error


def not_found_error(name: str, root: Path, files: str) -> SslcliError:
    return SslcliError(
        f"{name} was not found, or not whole, in {root}",
        f"add data.download=true, or point data.root at the folder that holds {files}",
    )


def _cifar(train: Any, test: Any) -> StoredParts[ImageSet]:
    parts = [
        ImageSet(np.ascontiguousarray(part.data), np.asarray(part.targets))
        for part in (train, test)
    ]
    return StoredParts(train=parts[0], test=parts[1], classes=tuple(train.classes))


def _channels_last(images: NDArray[np.uint8], labels: NDArray[Any] | None = None) -> ImageSet:
    """Returns a set of pictures (N, C, H, W), as torchvision has them."""
    numbers = None if labels is None else labels.astype(np.int64)
    return ImageSet(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), numbers)
