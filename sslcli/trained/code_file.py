"""Writes and reads files of codes: a NumPy archive (.npz) that says what it holds. No torch.

Its arrays: `about`, a JSON text as UTF-8 bytes; `codes`, float32 (N, D), or the bytes of
`archives.entropy` where they are quantised, and then `low` and `step` (D,) of their levels.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.entropy import Damaged, Packed, packed, unpacked
from sslcli.archives.file_bytes import read_bytes
from sslcli.errors import SslcliError
from sslcli.evaluation.quantization import BITS, Quantizer
from sslcli.files import write_atomically
from sslcli.preprocessing import Range

FORMAT = 1
"""Counts up when a file of now could be misread by a program of before."""

LARGEST = 2**28
"""Pixels of the largest picture: a file of someone else's must not fill the memory."""


@dataclass(frozen=True)
class Picture:
    """Names a picture, and says how large it was: `width` and `height`, upright, in pixels."""

    name: str
    width: int
    height: int

    def __post_init__(self) -> None:
        sound = isinstance(self.name, str) and all(
            isinstance(side, int) and side > 0 for side in (self.width, self.height)
        )
        if not sound or self.width * self.height > LARGEST:
            raise ValueError(f"no picture is {(self.name, self.width, self.height)}")


@dataclass(frozen=True)
class Origin:
    """Says whose codes they are, and how pictures became what was encoded.

    `weights`: the coder's hash; `shape`, `fill`: how pictures were made square; `range`: the values
    of files that mean 0 and 1, None: 0 and 255.
    """

    run: str
    identity: str
    method: str
    weights: str
    code_shape: tuple[int, ...]
    picture_shape: tuple[int, int, int]
    shape: str = "square"
    fill: float = 0.0
    range: Range | None = None


@dataclass(frozen=True)
class CodeFile:
    """Holds codes (N, D) float32 of N pictures, as they were encoded.

    `quantizer` None: they are written as they are.
    """

    origin: Origin
    pictures: tuple[Picture, ...]
    codes: NDArray[np.float32]
    quantizer: Quantizer | None = None

    def kept(self) -> NDArray[np.float32]:
        """Returns the codes as a reader of the file finds them."""
        if self.quantizer is None:
            return self.codes
        return self.quantizer.values(self.quantizer.levels(self.codes))

    def code_bytes(self) -> int:
        """Returns how many bytes of the file hold the codes, and nothing else."""
        if self.quantizer is None:
            return len(zlib.compress(self.codes.tobytes()))
        return len(packed(self.quantizer.levels(self.codes)).content)

    def content(self) -> bytes:
        """Returns the file's content."""
        assert self.codes.shape == (len(self.pictures), math.prod(self.origin.code_shape))
        about: dict[str, Any] = {"format": FORMAT, **asdict(self.origin)}
        about["pictures"] = [[one.name, one.width, one.height] for one in self.pictures]
        arrays: dict[str, NDArray[Any]] = {"codes": self.codes.astype(np.float32)}
        if self.quantizer is not None:
            coded = packed(self.quantizer.levels(self.codes))
            about |= {"bits": self.quantizer.bits, "coding": coded.coding}
            arrays["codes"] = np.frombuffer(coded.content, dtype=np.uint8)
            arrays |= {"low": self.quantizer.low, "step": self.quantizer.step}
        text = json.dumps(about, allow_nan=False).encode("ascii")
        written = io.BytesIO()
        np.savez_compressed(written, about=np.frombuffer(text, dtype=np.uint8), **arrays)  # type: ignore[arg-type]
        return written.getvalue()

    def write(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.content())


def read_code_file(path: Path) -> CodeFile:
    """Reads a file of codes; raises SslcliError where there is none, or it is damaged."""
    try:
        content = read_bytes(path)
    except OSError as reason:
        raise SslcliError(
            f"{path} cannot be read: {reason.strerror}", "name a file that sslcli encode wrote"
        ) from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile) or "about" not in arrays:
                message = f"{path} is no file of codes"
                raise SslcliError(message, "name a file that sslcli encode wrote")
            about = json.loads(bytes(arrays["about"]))
            if about["format"] > FORMAT:
                message = f"{path} was written by a newer sslcli: format {about['format']}"
                raise SslcliError(message, "pip install --upgrade sslcli")
            return _of(about, {name: arrays[name] for name in arrays.files})
    except (
        OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error,
        NotImplementedError, AttributeError,
    ) as reason:  # fmt: skip
        message = f"{path} is damaged, or no file of codes: {reason}"
        raise SslcliError(message, "encode the pictures again: sslcli encode") from None


def _of(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CodeFile:
    origin = Origin(
        **{name: str(about[name]) for name in ("run", "identity", "method", "weights", "shape")},
        code_shape=tuple(map(int, about["code_shape"])),
        picture_shape=tuple(map(int, about["picture_shape"])),  # type: ignore[arg-type]
        fill=float(about["fill"]),
        range=None if about["range"] is None else _range(*about["range"]),
    )
    pictures = tuple(Picture(*one) for one in about["pictures"])
    width = math.prod(origin.code_shape)
    if "bits" not in about:
        codes, quantizer = arrays["codes"], None
    else:
        quantizer = _quantizer(about["bits"], arrays, width)
        coded = Packed(str(about["coding"]), arrays["codes"].tobytes())
        levels = unpacked(coded, len(pictures), width)
        if levels.size and levels.max() > quantizer.last:
            raise Damaged(f"level {levels.max()} of {about['bits']} bits")
        codes = quantizer.values(levels)
    if codes.shape != (len(pictures), width) or codes.dtype != np.float32:
        raise Damaged(f"codes {codes.shape} {codes.dtype} of {len(pictures):,} pictures")
    if not np.isfinite(codes).all():
        raise Damaged("codes that are not finite")
    return CodeFile(origin, pictures, codes, quantizer)


def _range(low: Any, high: Any) -> Range:
    return float(low), float(high)


def _quantizer(bits: Any, arrays: dict[str, NDArray[Any]], width: int) -> Quantizer:
    low, step = arrays["low"], arrays["step"]
    if bits not in BITS or any(a.shape != (width,) or a.dtype != np.float32 for a in (low, step)):
        raise Damaged(f"levels of {bits} bits, {low.shape} {low.dtype}")
    if not (np.isfinite(low).all() and np.isfinite(step).all()):
        raise Damaged("levels that are not finite")
    return Quantizer(int(bits), low, step)
