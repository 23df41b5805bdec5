"""How an encoder is exported: written aside, loaded back, held to the run's own features, and only then kept.
Does not import torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.commands.encoder_files import EncoderFiles
from sslcli.commands.encoder_format import Features, Format
from sslcli.commands.program_formats import Onnx, TorchScript
from sslcli.commands.run_data import own_data
from sslcli.commands.weight_formats import Safetensors, Timm, Torchvision
from sslcli.data.images import evenly
from sslcli.errors import RunFailed, SslcliError
from sslcli.method import as_pictures

if TYPE_CHECKING:
    from torch import Tensor

    from sslcli.console import Console

FORMATS: dict[str, Format] = {
    "safetensors": Safetensors(),
    "torchvision": Torchvision(),
    "timm": Timm(),
    "onnx": Onnx(),
    "torchscript": TorchScript(),
}

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


def require_format(name: str, source: EncoderFiles) -> Format:
    """The format of that name. Raises SslcliError where the encoder does not fit it, or packages are missing."""
    chosen = FORMATS[name]
    reason = chosen.misfit(source)
    if reason is not None:
        able = [other for other, one in FORMATS.items() if one.misfit(source) is None]
        message = f"--to {name} does not fit the encoder of {source.folder}: {reason}"
        raise SslcliError(message, f"choose --to {', '.join(able[:-1])} or {able[-1]}")
    missing = [package for package in chosen.packages if find_spec(package) is None]
    if missing:
        message = f"--to {name} needs what is not installed: {', '.join(missing)}"
        raise SslcliError(message, f"pip install 'sslcli[{chosen.extra}]'")
    return chosen


def was_trained(source: EncoderFiles) -> bool:
    """Whether any weight differs from those that the run began with: stack-pretrain leaves an untrained encoder for
    compare=[none]."""
    before, after = source.untrained().state_dict(), source.load().state_dict()
    return any(not after[name].equal(weight) for name, weight in before.items())


def pictures_to_compare(source: EncoderFiles, console: Console) -> Pictures:
    """Pictures that the run was not trained on, of its own data; of the embedded sample where those cannot be had."""
    shape = source.preprocessing
    try:
        splits = own_data(source, console.track)
        part, name = (splits.val, "validation") if splits.test is None else (splits.test, "test")
        images, whose = part.images, f"{name} pictures of the run's data"
    except (SslcliError, OSError) as reason:
        from sslcli.data.sample import FashionSampleConfig

        console.warn(
            f"the run's data cannot be had ({reason}): features are compared on the embedded sample's pictures"
        )
        sample = FashionSampleConfig(resolution=shape.resolution).load().test
        assert sample is not None, "the sample has a test part"
        images, whose = sample.images[:].repeat(shape.channels, axis=3), "pictures of the embedded sample"
    chosen = images[evenly(len(images), NUM_PICTURES)]
    return Pictures(chosen, f"{len(chosen)} {whose}")


def write_verified(source: EncoderFiles, chosen: Format, pictures: Pictures, folder: Path) -> Difference:
    """Writes the encoder into `folder`. Raises RunFailed where that fails, where what was written cannot be loaded, or where
    its features are not the run's."""
    import torch

    from sslcli.evaluation.features import features

    encoder = source.load()
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
        raise RunFailed(message, "--to safetensors holds every encoder; debug=true tells where it happened") from reason


def _features(function: Features, pictures: Pictures) -> Tensor:
    """In batches of 1, 3 and the rest, so that a file that takes one size of batch only is found out."""
    import torch

    whole = as_pictures(torch.from_numpy(pictures.images)).contiguous()
    with torch.no_grad():
        return torch.cat([function(batch) for batch in whole.tensor_split([1, 4]) if len(batch)])


def _compared(expected: Tensor, found: Tensor, pictures: Pictures, tolerance: float) -> Difference:
    if found.shape != expected.shape:
        message = f"the file's features have the shape {tuple(found.shape)}, the run's {tuple(expected.shape)}"
        raise RunFailed(message, "nothing was kept; please report it")
    largest, largest_feature = float((found - expected).abs().max()), float(expected.abs().max())
    difference = Difference(expected.shape[1], largest, largest_feature, pictures)
    if not difference.largest <= tolerance * difference.largest_feature:  # not a number is not within it either
        message = f"the file's features are not the run's: the largest difference is {difference}"
        raise RunFailed(
            message, f"nothing was kept; at most {tolerance:g} of the largest feature is borne; please report it"
        )
    return difference
