"""How an encoder is exported: written aside, loaded back, held to the run's own features, and only then kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import evenly
from sslcli.data.sample import FashionSampleConfig
from sslcli.errors import RunFailed, SslcliError
from sslcli.evaluation.features import features
from sslcli.method import as_pictures
from sslcli.tools.export.format import Features, Format
from sslcli.trained.data import own_data
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_PICTURES = 32
"""How many pictures a file is compared on."""


@dataclass(frozen=True)
class Pictures:
    """What features are compared on: (N, H, W, C) uint8, and where they come from, for a sentence."""

    images: NDArray[np.uint8]
    source: str


@dataclass(frozen=True)
class Difference:
    """Between the features (N, `width`) of a file and of the run: the largest, beside the largest feature."""

    width: int
    largest: float
    largest_feature: float
    pictures: Pictures

    def __str__(self) -> str:
        return f"{self.largest:.1e} on {self.pictures.source}, where the largest feature is {self.largest_feature:.3g}"


def pictures_to_compare(
    source: EncoderFiles, console: Console, data_root: str | None = None
) -> Pictures:
    """Pictures that the run was not trained on, of its own data; of the embedded sample where those cannot be had."""
    shape = source.preprocessing
    try:
        splits = own_data(source, console.track, data_root)
        part, name = (splits.val, "validation") if splits.test is None else (splits.test, "test")
        images, whose = part.images, f"{name} pictures of the run's data"
    except (SslcliError, OSError) as reason:
        console.warn(
            f"the run's data cannot be had ({reason}): features are compared on the embedded sample's pictures"
        )
        sample = FashionSampleConfig(resolution=shape.resolution).load().test
        assert sample is not None, "the sample has a test part"
        images, whose = (
            sample.images[:].repeat(shape.channels, axis=3),
            "pictures of the embedded sample",
        )
    chosen = images[evenly(len(images), NUM_PICTURES)]
    return Pictures(chosen, f"{len(chosen)} {whose}")


def write_verified(
    source: EncoderFiles, chosen: Format, pictures: Pictures, folder: Path
) -> Difference:
    """Writes the encoder into `folder`. Raises RunFailed where that fails, where what was written cannot be loaded, or where
    its features are not the run's."""
    encoder = load_trained(source)
    expected = features(encoder, pictures.images, source.preprocessing, torch.device("cpu"))
    with _explained("written"):
        chosen.write(source, encoder, folder)
    with _explained("loaded back"):
        found = _features(chosen.read(source, folder), pictures)
    return _compared(expected, found, pictures, chosen.tolerance)


@contextlib.contextmanager
def _explained(step: str) -> Iterator[None]:
    try:
        yield
    except (SslcliError, OSError):
        raise
    except Exception as reason:  # torch's exporters raise whatever they stumble over
        message = f"the encoder could not be {step}: {type(reason).__name__}: {' '.join(str(reason).split())[:300]}"
        raise RunFailed(
            message, "--to safetensors holds every encoder; debug=true tells where it happened"
        ) from reason


def _features(function: Features, pictures: Pictures) -> Tensor:
    """In batches of 1, 3 and the rest, so that a file that takes one size of batch only is found out."""
    whole = as_pictures(torch.from_numpy(pictures.images)).contiguous()
    with torch.no_grad():
        return torch.cat([function(batch) for batch in whole.tensor_split([1, 4]) if len(batch)])


def _compared(expected: Tensor, found: Tensor, pictures: Pictures, tolerance: float) -> Difference:
    if found.shape != expected.shape:
        message = f"the file's features have the shape {tuple(found.shape)}, the run's {tuple(expected.shape)}"
        raise RunFailed(message, "nothing was kept; please report it")
    largest, largest_feature = float((found - expected).abs().max()), float(expected.abs().max())
    difference = Difference(expected.shape[1], largest, largest_feature, pictures)
    if (
        not difference.largest <= tolerance * difference.largest_feature
    ):  # not a number is not within it either
        message = f"the file's features are not the run's: the largest difference is {difference}"
        raise RunFailed(
            message,
            f"nothing was kept; at most {tolerance:g} of the largest feature is borne; please report it",
        )
    return difference
