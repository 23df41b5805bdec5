"""Loads MNIST and Fashion-MNIST from their idx files, which torchvision downloads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sslcli.data.idx import find_idx, read_idx
from sslcli.data.images import Splits, Track, untracked
from sslcli.data.split import StoredParts
from sslcli.data.torchvision_sets import TorchvisionConfig, not_found_error, translate_errors

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts it."""

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
    "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(kw_only=True)
class MNISTConfig(TorchvisionConfig):
    """Loads 60,000 + 10,000 handwritten digits, 28x28 grey.

    Source: LeCun et al. 1998.
    """

    def load(self, track: Track = untracked) -> Splits:
        root = self.location()
        folder = find_idx([root / "MNIST" / "raw", root])
        if folder is None:
            folder = self._fetch_mnist(root)
        train, test = read_idx(folder)
        return self.split_and_resize(StoredParts(train=train, test=test, classes=DIGITS), track)

    def _fetch_mnist(self, root: Path) -> Path:
        if not self.download:
            raise not_found_error("MNIST", root, "MNIST/raw")
        with translate_errors("MNIST", root, "MNIST/raw", download=True):
            from torchvision.datasets import MNIST

            MNIST(root, download=True)
        return root / "MNIST" / "raw"


@dataclass(kw_only=True)
class FashionMNISTConfig(TorchvisionConfig):
    """Loads 60,000 + 10,000 pictures of clothes, 28x28 grey.

    Without `root`, Debian's package dataset-fashion-mnist is read where it is installed.
    Source: Xiao et al. 2017.
    """

    def load(self, track: Track = untracked) -> Splits:
        root = self.location()
        elsewhere = [DEBIAN_FOLDER] if self.root is None else []
        folder = find_idx([root / "FashionMNIST" / "raw", root, *elsewhere])
        if folder is None:
            folder = self._fetch_fashion(root)
        train, test = read_idx(folder)
        return self.split_and_resize(StoredParts(train=train, test=test, classes=CLOTHES), track)

    def _fetch_fashion(self, root: Path) -> Path:
        if not self.download:
            raise not_found_error("Fashion-MNIST", root, "FashionMNIST/raw")
        with translate_errors("Fashion-MNIST", root, "FashionMNIST/raw", download=True):
            from torchvision.datasets import FashionMNIST

            FashionMNIST(root, download=True)
        return root / "FashionMNIST" / "raw"
