"""Understands the words that say where pictures are: a path, or a run's `data` words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.data.array_files import image_keys
from sslcli.data.data_config import DataConfig
from sslcli.data.idx import find_idx
from sslcli.data.parts import is_ignored
from sslcli.data.picture_names import is_picture
from sslcli.data.table_file import READERS
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.text import hydra_override, hydra_path, shell_quoted

if TYPE_CHECKING:
    from sslcli.tools.table import Compose

KINDS = {
    ".npz": "arrays",
    ".npy": "arrays",
    ".zip": "folder",
    ".tar": "shards",
    ".amat": "amat",
    **dict.fromkeys(READERS, "table"),
}
"""Kinds of data by the ending of their file."""
PARQUET = ".parquet"
EXAMPLES = "sslcli inspect FOLDER, or sslcli inspect data=table data.root=FILE"


@dataclass(frozen=True)
class Asked:
    """Holds which data are meant: the `kind` that `data=` names, and its `config`.

    `further`: the words typed beside data and data.root, for a shell.
    """

    kind: str
    config: DataConfig
    further: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """Returns the words that choose these data in a run, for a shell."""
        root = self.config.root
        place = [] if root is None else [hydra_path("data.root", root)]
        return [f"data={self.kind}", *place, *self.further]


def understand(words: Sequence[str], compose: Compose) -> Asked:
    """Returns the data that are meant: by a path, a word without =, or by a run's words.

    Raises SslcliError for words that cannot be used.
    """
    paths = [word for word in words if "=" not in word or Path(word).exists()]
    typed = dict(_split(word) for word in words if word not in paths)
    if len(paths) > 1 or (paths and "data.root" in typed):
        places = [*paths, *([typed["data.root"]] if "data.root" in typed else [])]
        message = f"there are {len(places)} places: {' '.join(places)}"
        raise SslcliError(message, "give one, such as a folder that holds train/ and test/")
    if not paths and not typed:
        raise SslcliError("nothing to inspect is given", EXAMPLES)
    kind = typed.pop("data", None) or (guessed(expanded(paths[0])) if paths else None)
    if kind is None:
        raise SslcliError("data=… says which kind of data it is, and is missing", EXAMPLES)
    place = [hydra_override("data.root", paths[0])] if paths else []
    further = [f"{key}={text}" for key, text in typed.items()]
    composed = compose("pretrain", [f"data={kind}", *place, *further])
    if len(composed) != 1:
        message = f"the words mean {len(composed)} data sets"
        raise SslcliError(message, "give each key one value, and look at one at a time")
    quoted = [shell_quoted(word) for word in further if not word.startswith("data.root=")]
    return Asked(kind, composed[0][1].data, tuple(quoted))


def _split(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    if key != "data" and not key.startswith("data."):
        message = f"{word}: only words of the data can be inspected"
        raise SslcliError(message, EXAMPLES)
    return key, value


def guessed(path: Path) -> str:
    """Returns the kind of data that a path holds, from what is there."""
    if not path.exists():
        raise SslcliError(f"there is no file or folder {str(path)!r}", EXAMPLES)
    if path.is_dir():
        return _guessed_folder(path)
    ending = path.suffix.lower()
    kind = _guessed_parquet(path) if ending == PARQUET else KINDS.get(ending)
    if kind is None:
        message = f"{path} is no folder, and no file of pictures that can be read"
        raise SslcliError(message, f"give a folder, or a file that ends in {', '.join(KINDS)}")
    return kind


def _guessed_folder(path: Path) -> str:
    if find_idx([path, path / "MNIST" / "raw"]) is not None:
        return "fashion_mnist" if "fashion" in str(path.absolute()).lower() else "mnist"
    if find_idx([path / "FashionMNIST" / "raw"]) is not None:
        return "fashion_mnist"
    if any((path / f"{key}.npy").is_file() for key in image_keys("train")):
        return "arrays"
    if any(path.glob("*.amat")):
        return "amat"
    inside = [entry for entry in path.iterdir() if not is_ignored(entry.name)]
    if not any(entry.is_dir() or is_picture(entry.name) for entry in inside):
        for ending, kind in {".tar": "shards", PARQUET: "parquet"}.items():
            if any(entry.suffix.lower() == ending for entry in inside):
                return kind
    return "folder"


def _guessed_parquet(path: Path) -> str:
    """Returns table for a file with a column of paths, else parquet: the pictures are inside."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_schema
    except ImportError:  # reading says so
        return "parquet"
    try:
        return "table" if "path" in read_schema(path).names else "parquet"
    except (ArrowException, OSError):  # reading says so
        return "parquet"
