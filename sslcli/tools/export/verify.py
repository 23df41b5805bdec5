"""Writes an encoder, loads it back, and compares its features with the run's own."""

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

from sslcli.data.images import evenly_spaced
from sslcli.data.resize import at_resolution
from sslcli.data.sample import FashionSampleConfig
from sslcli.errors import RunFailed, SslcliError
from sslcli.evaluation.features import features
from sslcli.method import as_pictures
from sslcli.tools.export.format import Features, Format
from sslcli.trained.data import load_own_data
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_PICTURES = 32
"""Number of pictures whose features are compared."""


@dataclass(frozen=True)
class Pictures:
    """Holds the pictures whose features are compared."""

    images: NDArray[np.uint8]
    """(N, H, W, C)."""
    source: str
    """A description of their origin."""


@dataclass(frozen=True)
class Difference:
    """Holds the largest difference between features (N, `width`) of a file and a run."""

    width: int
    largest: float
    largest_feature: float
    pictures: Pictures

    def __str__(self) -> str:
        return (
            f"{self.largest:.1e} on {self.pictures.source}, "
            f"where the largest feature is {self.largest_feature:.3g}"
        )


def pictures_to_compare(
    source: EncoderFiles, console: Console, data_root: str | None = None
) -> Pictures:
    """Returns pictures of the run's data that it was not trained on.

    Where the data cannot be loaded it warns, and returns pictures of the embedded sample.
    """
    shape = source.preprocessing
    try:
        splits = load_own_data(source, console.track, data_root)
        part, name = (splits.val, "validation") if splits.test is None else (splits.test, "test")
        images = at_resolution(part, shape.resolution).images
        whose = f"{name} pictures of the run's data"
    except (SslcliError, OSError) as reason:
        console.warn(
            f"the run's data cannot be had ({reason}): "
            "features are compared on the embedded sample's pictures"
        )
        sample = FashionSampleConfig(resolution=shape.resolution).load().test
        assert sample is not None, "the sample has a test part"
        images, whose = (
            sample.images[:].repeat(shape.channels, axis=3),
            "pictures of the embedded sample",
        )
    chosen = images[evenly_spaced(len(images), NUM_PICTURES)]
    return Pictures(chosen, f"{len(chosen)} {whose}")


def write_verified(
    source: EncoderFiles, chosen: Format, pictures: Pictures, folder: Path
) -> Difference:
    """Writes the encoder into `folder`.

    Raises RunFailed where it cannot be written or loaded back, or where its features differ from
    the run's.
    """
    encoder = load_trained(source)
    expected = features(encoder, pictures.images, source.preprocessing, torch.device("cpu"))
    with _failures_explained("written"):
        chosen.write(source, encoder, folder)
    with _failures_explained("loaded back"):
        actual = _features(chosen.read(source, folder), pictures)
    return _compare(expected, actual, pictures, chosen.tolerance)


@contextlib.contextmanager
def _failures_explained(step: str) -> Iterator[None]:
    try:
        yield
    except (SslcliError, OSError):
        raise
    except Exception as reason:  # torch's exporters may raise anything
        said = " ".join(str(reason).split())[:300]
        raise RunFailed(
            f"the encoder could not be {step}: {type(reason).__name__}: {said}",
            "--to safetensors holds every encoder; debug=true tells where it happened",
        ) from reason


def _features(function: Features, pictures: Pictures) -> Tensor:
    """Computes features in batches of 1, 3 and the rest, to test free batch sizes."""
    whole = as_pictures(torch.from_numpy(pictures.images)).contiguous()
    with torch.no_grad():
        return torch.cat([function(batch) for batch in whole.tensor_split([1, 4]) if len(batch)])


def _compare(expected: Tensor, actual: Tensor, pictures: Pictures, tolerance: float) -> Difference:
    if actual.shape != expected.shape:
        raise RunFailed(
            f"the file's features have the shape {tuple(actual.shape)}, "
            f"the run's {tuple(expected.shape)}",
            "nothing was kept; please report it",
        )
    largest, largest_feature = float((actual - expected).abs().max()), float(expected.abs().max())
    difference = Difference(expected.shape[1], largest, largest_feature, pictures)
    within = largest <= tolerance * largest_feature  # False for NaN too
    if not within:
        raise RunFailed(
            f"the file's features are not the run's: the largest difference is {difference}",
            f"nothing was kept; at most {tolerance:g} of the largest feature is allowed; "
            "please report it",
        )
    return difference
