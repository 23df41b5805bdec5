"""Reads the .amat text files of Larochelle et al. 2007.

They hold the variations on MNIST, the rectangles and the convex shapes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.data.arrays import number_classes
from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet, Splits, Track, untracked
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError, require
from sslcli.settings import REQUIRED, setting
from sslcli.text import hydra_path

SIDE = 28
NUM_COLUMNS = SIDE * SIDE + 1
PUBLISHED_NUM_VAL = {12_000: 2_000, 1_200: 200}
"""The number of last rows that are validation, by the number of rows of the training file.

convex has 8,000, split differently by those who report on it.
"""
UPRIGHT = "mnist_train.amat"
"""The training file of the plain digits, the only ones whose pictures do not lie transposed."""
ARCHIVE_FOLDERS = (".", "50k")
"""Where the test file lies, seen from the training file: convex.zip puts it into 50k/."""
BLOCK = 1 << 22
"""Bytes of text between two steps of the progress bar."""


@dataclass(kw_only=True)
class AmatConfig(DataConfig):
    """Reads a data set of Larochelle et al. 2007, 28x28 grey.

    The sets are basic, rot, bg-rand, bg-img, bg-img-rot (digits), rect, rect-img and convex (two
    classes).

    The archives mnist_rotation_new and mnist_rotation_back_image_new are the corrected ones, which
    the published tables of 2010 are on; never compare with the first ones. The files are read anew
    every time. Not read: the noise levels, one file for all parts.
    Source: Larochelle et al. 2007, "An Empirical Evaluation of Deep Architectures on Problems with
    Many Factors of Variation".
    Differs: pixels are rounded to 256 levels.
    """

    root: str | None = setting(
        REQUIRED,
        "the folder of one variation's two .amat files; or its training file, the test file being "
        "beside it",
    )
    num_val: int | None = setting(
        None,
        "last rows of the training file that are validation; null: 2000 of 12000, 200 of 1200, "
        "else val_fraction",
    )
    transposed: bool | None = setting(
        None,
        "the file has a picture's columns where rows should be, to be undone; null: all but "
        f"{UPRIGHT}",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.num_val
        require(
            count is None or count > 0,
            "data.num_val",
            count,
            "positive",
            "leave it out for the published split",
        )

    def load(self, track: Track = untracked) -> Splits:
        train_path, test_path = find_amat(self.location())
        # Symmetrical tasks (rectangles, convex shapes) are the same task transposed.
        transposed = train_path.name != UPRIGHT if self.transposed is None else self.transposed
        parts = {
            "train": read_amat(train_path, transposed, track),
            "test": read_amat(test_path, transposed, track),
        }
        parts, classes = number_classes(parts, None, train_path)
        train, val = self._hold_out(parts["train"])
        return self.split_and_resize(StoredParts(train, val, parts["test"], classes), track)

    def _hold_out(self, whole: ImageSet) -> tuple[ImageSet, ImageSet | None]:
        """Holds out the published rows, or `num_val`; none where neither says how many."""
        count = self.num_val or PUBLISHED_NUM_VAL.get(len(whole))
        if count is None:
            return whole, None
        must_be = f"below the training file's {len(whole)} rows"
        require(count < len(whole), "data.num_val", count, must_be, "lower it, or leave it out")
        rows = np.arange(len(whole))
        return whole.subset(rows[:-count]), whole.subset(rows[-count:])


def find_amat(root: Path) -> tuple[Path, Path]:
    """Returns the training file, `root` or one inside it, and the test file beside it."""
    train = root if root.is_file() else _training_file(root)
    name = re.sub("train(_valid)?", "test", train.name, count=1)
    if name == train.name:
        message = f"{train} is not named like a training file, with `train` in its name"
        raise SslcliError(
            message, "data.root=path/to/mnist_train.amat, and mnist_test.amat beside it"
        )
    candidates = [train.parent / folder / name for folder in ARCHIVE_FOLDERS]
    test = next((path for path in candidates if path.is_file()), None)
    if test is None:
        raise SslcliError(
            f"{train} has no test file beside it: {candidates[0]}", f"put {name} there"
        )
    return train, test


def _training_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise SslcliError(
            f"data.root does not exist: {folder}", "data.root=path/to/mnist_rotation_new"
        )
    found = sorted(folder.glob("*train*.amat"))
    if not found:
        message = f"there is no training file, *train*.amat, in {folder}"
        raise SslcliError(
            message, "unpack the archive of a variation there, mnist_rotation_new.zip for one"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SslcliError(
            f"{folder} holds several training files: {names}",
            f"choose one: {hydra_path('data.root', found[0])}",
        )
    return found[0]


def read_amat(path: Path, transposed: bool, track: Track = untracked) -> ImageSet:
    """Reads every row; raises SslcliError for any that is not 784 pixels and a label."""
    pictures: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    with path.open("rb") as file:
        num_blocks = math.ceil(path.stat().st_size / BLOCK)
        blocks = iter(lambda: file.readlines(BLOCK), [])
        lines = chain.from_iterable(track(blocks, total=num_blocks, label=f"reading {path.name}"))
        for number, line in enumerate(lines, start=1):
            if line.strip():
                pixels, label = _parse_row(line, f"row {number} of {path}")
                pictures.append(pixels)
                labels.append(label)
    if not pictures:
        raise SslcliError(f"{path} has no rows", "fetch it again")
    images = np.stack(pictures).reshape(-1, SIDE, SIDE, 1)
    upright = np.ascontiguousarray(images.transpose(0, 2, 1, 3)) if transposed else images
    return ImageSet(upright, np.array(labels, dtype=np.int64))


def _parse_row(line: bytes, where: str) -> tuple[NDArray[np.uint8], int]:
    """Returns a row's pixels (784,) and its label."""
    words = line.split()
    fix = "a row is 784 pixels from 0 to 1, and a label; fetch the file again where it is damaged"
    if len(words) != NUM_COLUMNS:
        raise SslcliError(f"{where} has {len(words)} columns instead of {NUM_COLUMNS}", fix)
    try:  # Python's float: little slower than numpy's readers, and says what is wrong
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise SslcliError(f"{where} is not all numbers: {error}", fix) from error
    levels, label = np.rint(values[:-1] * 255), float(values[-1])
    inside = (levels >= 0) & (levels <= 255)  # after rounding: 1.0000001 is 1
    if not inside.all():
        raise SslcliError(f"{where} has a pixel outside 0 to 1: {values[:-1][~inside][0]:g}", fix)
    if not (label.is_integer() and 0 <= label < 2**31):
        raise SslcliError(
            f"{where} has the label {label:g}, which is not a whole number from 0", fix
        )
    return levels.astype(np.uint8), int(label)
