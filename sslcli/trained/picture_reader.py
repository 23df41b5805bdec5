"""Reads a user's picture files as the run's own pictures were read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.archives.file_bytes import read_bytes
from sslcli.data.cut_config import CutConfig
from sslcli.data.decode import COLOUR, DecodeOptions, decoded, reason_of
from sslcli.data.deep_files import read_deep
from sslcli.data.depth import Depth
from sslcli.data.resize import MIDDLE, Framing
from sslcli.data.shape import Shape
from sslcli.data.stored_picture import seen_size
from sslcli.data.values import canonical, kind_of
from sslcli.errors import SslcliError
from sslcli.preprocessing import FULL_SCALE, Preprocessing
from sslcli.trained.data import run_data_config
from sslcli.trained.encoder_files import EncoderFiles

UNIT = (0.0, float(FULL_SCALE["float32"]))


@dataclass(frozen=True)
class FittedPicture:
    """Holds a picture as the encoder is fed it, `pixels` (R, R, C), and how large it was, upright.

    `notes`: what became of it, in words that are the same for every such picture.
    """

    pixels: NDArray[Any]
    width: int
    height: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PictureReader:
    """Makes pictures square and brings them to the run's resolution, channels and depth."""

    options: DecodeOptions

    @classmethod
    def of(cls, files: EncoderFiles) -> PictureReader:
        """Returns the reader of a run's pictures; reads its configs alone."""
        shape, how = files.preprocessing, framing_of(files)
        return cls(DecodeOptions(shape.resolution, shape.channels, 1, depth_of(shape), framing=how))

    def __call__(self, path: Path) -> FittedPicture:
        """Raises SslcliError where the file is missing, damaged, or cannot be kept so."""
        channels = self.options.stored_channels
        try:
            data = read_bytes(path)
        except OSError as reason:
            message = f"{path} cannot be read: {reason.strerror}"
            raise SslcliError(message, "see to the name; one with spaces needs quotes") from None
        try:
            width, height, notes = _looked_at(data, self.options.depth)
            pixels, kind = decoded(data, self.options, channels)
        except Exception as reason:  # a broken file makes Pillow raise almost anything
            message = f"{path} cannot be decoded: {reason_of(reason)}"
            raise SslcliError(message, "give a picture like the run's, saved anew") from None
        if kind == COLOUR and channels == 1:
            notes.append("in colour, and become grey, as the run's pictures were")
        if width != height and self.options.framing.shape is Shape.square:
            notes.append("not square, and only their middle is taken, as of the run's pictures")
        return FittedPicture(pixels, width, height, tuple(notes))


def framing_of(files: EncoderFiles) -> Framing:
    """Returns how the run made pictures square, by its configs alone.

    Squeezed pictures (cover) are encoded by their middle, as stored squares are.
    """
    config = run_data_config(files, None)
    if isinstance(config, CutConfig) and config.shape is Shape.pad:
        return Framing(Shape.pad, config.fill)
    return MIDDLE


def depth_of(shape: Preprocessing) -> Depth | None:
    """Returns what the run's pictures were stored as; None: grey or RGB of 8 bits."""
    if shape.range is None and shape.channels in (1, 3):
        return None
    kinds = {(0.0, float(full)): kind for kind, full in FULL_SCALE.items()}
    kind = "uint8" if shape.range is None else kinds.get(shape.range, "float32")
    # All of a type's values: a file of another type has its own, as among the run's pictures.
    of_values = None if shape.range in kinds or shape.range == UNIT else shape.range
    return Depth(kind, shape.channels, of_values, cuts=True, makes_grey=True)


def _looked_at(data: bytes, depth: Depth | None) -> tuple[int, int, list[str]]:
    """Returns width and height, upright, and a note where something shines through.

    Raises ValueError for floats outside [0, 1] where the run's were in it, or were cut to it.
    """
    deep = read_deep(data)
    if deep is not None:
        if depth is not None and depth.range is None and kind_of(deep.pixels.dtype) == "float32":
            canonical(deep.on_white, None)
        height, width = deep.pixels.shape[:2]
        alpha = deep.alpha
        shines = alpha is not None and bool((alpha < FULL_SCALE.get(str(alpha.dtype), 1)).any())
    else:
        with Image.open(io.BytesIO(data)) as image:
            width, height = seen_size(image)
            may = "transparency" in image.info or image.mode.lower() in ("la", "pa", "rgba")
            shines = may and bool(np.asarray(image.convert("RGBA"))[..., 3].min() < 255)
    return width, height, ["transparent in parts, and laid on white"] if shines else []
