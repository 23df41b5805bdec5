from dataclasses import dataclass

import numpy as np

from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet, untracked
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError
from sslcli.settings import REQUIRED, setting


@dataclass(kw_only=True)
class DotsConfig(DataConfig):
    """Reads a text file: one picture a line, its label, then 64 grey values."""

    root: str | None = setting(REQUIRED, "the text file", changes_results=False)
    inverted: bool = setting(False, "white is black")

    def load(self, track=untracked):
        path = self.location()
        if not path.is_file():
            raise SslcliError(f"data.root: there is no file {path}", "data.root=path/to/dots.txt")
        rows = np.loadtxt(path, dtype=np.int64, delimiter=",")
        images = rows[:, 1:].reshape(-1, 8, 8, 1).astype(np.uint8)
        if self.inverted:
            images = 255 - images
        half = len(rows) * 3 // 4
        stored = StoredParts(
            train=ImageSet(images[:half], rows[:half, 0]),
            test=ImageSet(images[half:], rows[half:, 0]),
            classes=("left", "right"),
        )
        return self.split_and_resize(stored, track)
