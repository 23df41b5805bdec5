"""Builds what decodes a run's codes: its method, or the layers that stack-pretrain trained."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from sslcli.errors import SslcliError
from sslcli.method import Method
from sslcli.methods.denoising_autoencoder import Reconstruction
from sslcli.methods.stack import Stack
from sslcli.nets.layered import LayeredEncoder
from sslcli.nets.layers import Layer
from sslcli.nets.state import load_state
from sslcli.runs.checkpoint import read_checkpoint
from sslcli.saved import read
from sslcli.text import first_line
from sslcli.trained.able_runs import layer_phase, stacked_kind
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder
from sslcli.trained.method import read_method


def read_decoding(folder: Path) -> Method:
    """Returns a run's trained method, or its stack, in eval mode on the CPU; errors as there."""
    return read_method(folder) if stacked_kind(folder) is None else read_stack(folder)


def read_stack(folder: Path) -> Stack:
    """Returns the trained layers of a run of stack-pretrain, with their mirrors.

    Raises SslcliError where the run trained none, has not come so far, or its files are damaged.
    """
    kind = stacked_kind(folder)
    if kind is None:
        message = f"{folder} is no run of stack-pretrain with trained layers"
        raise SslcliError(message, "name one with compare=[denoising] or compare=[autoencoder]")
    files, values = read_encoder(folder), read(folder / "config.yaml").values
    encoder = load_trained(files)
    assert isinstance(encoder, LayeredEncoder), type(encoder)
    mirrors = nn.ModuleList()
    for depth, layer in enumerate(encoder.layers, start=1):
        assert isinstance(layer, Layer)
        mirror = layer.mirror(bool(values["tied"]))
        learner = nn.ModuleDict({"layer": layer, "mirror": mirror})
        _load(learner, folder / layer_phase(kind, files.seed, depth) / "last.pt")
        mirrors.append(mirror)
    encoder.eval().requires_grad_(False)
    mirrors.eval().requires_grad_(False)
    reconstruction = Reconstruction[str(values["reconstruction"])]
    return Stack(encoder, files.preprocessing, mirrors, reconstruction)


def _load(learner: nn.ModuleDict, checkpoint: Path) -> None:
    """Loads a layer and its mirror, as their training ended."""
    if not checkpoint.exists():
        message = f"there is no {checkpoint}, which holds what decodes a layer's codes"
        raise SslcliError(message, "restore the file from a copy")
    try:
        load_state(learner, read_checkpoint(checkpoint)["state"]["modules"])
    except (ValueError, RuntimeError) as reason:
        message = f"{checkpoint} does not fit the run's config.yaml: {first_line(reason, 1000)}"
        raise SslcliError(message, "put both back as the run wrote them") from None
