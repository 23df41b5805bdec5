"""Checks that a network is what an encoder must be, so that nothing fails far from it."""

from __future__ import annotations

import copy

import torch

from sslcli.choices import Misfit
from sslcli.generators import kept_generators
from sslcli.nets.encoder import Encoder


def require_encoder(network: object, channels: int, resolution: int) -> None:
    """Raises Misfit unless the network maps two pictures as an encoder does.

    It is tried as a copy, with generators kept: weights and draws stay as they were.
    """
    name = type(network).__name__
    if not isinstance(network, Encoder):
        message = f"its network returns a {name}, no Encoder"
        raise Misfit(message, "derive its class from sslcli.nets.encoder.Encoder, and return it")
    width = getattr(network, "width", None)
    if type(width) is not int or width < 1:
        has = "no width" if width is None else f"a width of {width!r}"
        raise Misfit(f"{name} has {has}", "set self.width in it, the number of its features")
    with torch.no_grad(), kept_generators():
        tried = copy.deepcopy(network).eval()
        pictures = torch.zeros(2, channels, resolution, resolution)
        features, code = tried(pictures), tried.code(pictures)
    if tuple(features.shape) != (2, width):
        message = f"{name} has width {width}, and gives features of shape {tuple(features.shape)}"
        raise Misfit(f"{message} for 2 pictures", "let it return (N, width), and set self.width")
    if tuple(code.shape[1:]) != tuple(network.code_shape):
        message = f"{name} has code_shape {tuple(network.code_shape)}"
        raise Misfit(
            f"{message}, and gives codes of shape {tuple(code.shape[1:])}",
            "set self.code_shape to what `code` gives for one picture",
        )
