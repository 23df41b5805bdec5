"""Defines what a format of `sslcli export` is. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli import nets
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.nets.encoder import Encoder

Features = Callable[["Tensor"], "Tensor"]
"""Maps pictures (N, C, H, W) in [0, 1] to features (N, D)."""


class Format:
    """Stores an encoder for other programs in one way."""

    holds: str
    """The content of the file, for its model card."""
    packages: tuple[str, ...] = ()
    """The packages that it needs beyond sslcli's own."""
    extra = "export"
    """The extra of sslcli that installs them."""
    tolerance = 1e-5
    """The largest difference of features allowed, as a fraction of the largest feature."""
    note: str | None = None
    """A warning for users who choose the format."""
    card = "MODEL_CARD.md"
    """The file of the model card."""
    front = ""
    """What stands before the card's text."""

    def files(self, source: EncoderFiles) -> list[str]:
        """Returns the names of the files that `write` writes."""
        raise NotImplementedError

    def misfit(self, source: EncoderFiles) -> str | None:
        """Returns why this format cannot hold the encoder; None where it can."""
        return None

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        """Writes the files into a folder."""
        raise NotImplementedError

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        """Loads the written files, as other programs would."""
        raise NotImplementedError

    def snippet(self, source: EncoderFiles) -> str:
        """Returns Python that, run in the folder, computes `features` of `pictures`."""
        raise NotImplementedError


def with_normalization(source: EncoderFiles, encoder: nn.Module) -> nn.Module:
    """Returns the encoder behind its normalisation: it takes pictures in [0, 1]."""
    return nets.NormalizedEncoder(
        encoder, source.preprocessing.mean, source.preprocessing.std
    ).eval()


def random_pictures(source: EncoderFiles) -> str:
    """Returns the line of a snippet that makes two pictures."""
    shape = source.preprocessing
    sizes = f"2, {shape.channels}, {shape.resolution}, {shape.resolution}"
    return f"pictures = torch.rand({sizes})  # in [0, 1]\n"
