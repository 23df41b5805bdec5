"""What a format is in which `sslcli export` writes an encoder, and what several of them share. Does not import torch."""

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
"""(N, C, H, W) pictures in [0, 1] -> (N, D)."""


class Format:
    """One way to keep an encoder. `packages` are those it needs beyond sslcli's own; the extra of that name brings them."""

    holds: str
    """What is in the file, for its model card."""
    packages: tuple[str, ...] = ()
    extra = "export"
    tolerance = 1e-5
    """How far features of the file may be from the run's, as a part of the largest feature."""
    note: str | None = None
    """What the user should know who asked for it."""

    def files(self, source: EncoderFiles) -> list[str]:
        """The names of what `write` writes."""
        raise NotImplementedError

    def misfit(self, source: EncoderFiles) -> str | None:
        """Why this format cannot hold the encoder; None where it can."""
        return None

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        raise NotImplementedError

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        """What was written, loaded the way its ecosystem does."""
        raise NotImplementedError

    def snippet(self, source: EncoderFiles) -> str:
        """Python that, run in the folder, makes `features` of `pictures`."""
        raise NotImplementedError


def normalizing(source: EncoderFiles, encoder: nn.Module) -> nn.Module:
    return nets.NormalizedEncoder(
        encoder, source.preprocessing.mean, source.preprocessing.std
    ).eval()


def random_pictures(source: EncoderFiles) -> str:
    shape = source.preprocessing
    return f"pictures = torch.rand(2, {shape.channels}, {shape.resolution}, {shape.resolution})  # in [0, 1]\n"
