"""Loads the sample that comes with the package: 12,000 pictures of Fashion-MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet, Splits, Track, untracked
from sslcli.data.split import StoredParts
from sslcli.errors import require
from sslcli.settings import setting

FILE = Path(__file__).with_name("fashion_12k.npz")


@dataclass(kw_only=True)
class FashionSampleConfig(DataConfig):
    """Loads clothes, 28x28 grey, 10 classes of 1,000 training and 200 test pictures.

    The pixels are exact. Source: Xiao et al. 2017, Fashion-MNIST. Differs: a sixth of the set,
    balanced; its results are not those of the whole set.
    """

    root: str | None = setting(
        None, "left out: the sample comes with the package", changes_results=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "leave it out, or take data=fashion_mnist for the whole set"
        require(
            self.root is None,
            "data.root",
            self.root,
            "left out: the sample comes with the package",
            fix,
        )

    def load(self, track: Track = untracked) -> Splits:
        with np.load(FILE, allow_pickle=False) as arrays:
            stored = StoredParts(
                train=ImageSet(arrays["x_train"], arrays["y_train"].astype(np.int64)),
                test=ImageSet(arrays["x_test"], arrays["y_test"].astype(np.int64)),
                classes=tuple(arrays["classes"].tolist()),
            )
        return self.split_and_resize(stored, track)
