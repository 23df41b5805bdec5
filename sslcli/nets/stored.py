"""Loads the weights of a trained encoder from its folder."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from sslcli.errors import SslcliError
from sslcli.nets.description import JSON, WEIGHTS
from sslcli.nets.encoder import Encoder


def load_weights(encoder: Encoder, folder: Path) -> None:
    """Loads the weights into the encoder that encoder.json describes.

    Raises SslcliError unless every weight is there and none is left over.
    """
    path = folder / WEIGHTS
    try:
        encoder.load_state_dict(load_file(path), strict=True)
    except (FileNotFoundError, SafetensorError, RuntimeError) as reason:
        said = " ".join(str(reason).split())[:200]
        message = f"{path} does not hold the encoder that {JSON} describes: {said}"
        raise SslcliError(message, "restore both files from the run that wrote them") from None
