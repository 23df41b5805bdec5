"""Decodes the codes of a stack of layers that were trained one by one.

Source: Vincent et al. 2010, whose figures of what a stack makes go down through its layers too.
Differs: theirs draws every layer's units at random, this takes their means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli.method import Method, Preprocessing
from sslcli.methods.denoising_autoencoder import Reconstruction

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.nets.layered import LayeredEncoder


@dataclass
class Stack(Method):
    """Is what `StackedLayer`s made, and is trained no further: a `Decoding`.

    `mirrors` are the layers', that of the first layer first.
    """

    encoder: LayeredEncoder
    preprocessing: Preprocessing
    mirrors: nn.ModuleList
    reconstruction: Reconstruction

    def decode(self, codes: Tensor) -> Tensor:
        """Decodes (N, *encoder.code_shape) to pictures (N, C, H, W) in [0, 1]."""
        for mirror in reversed(list(self.mirrors)):
            outputs = mirror(codes)
            codes = self.reconstruction.values(outputs) if self._are_unit else outputs
        shape = self.preprocessing
        return codes.clamp(0, 1).view(-1, shape.channels, shape.resolution, shape.resolution)

    @property
    def _are_unit(self) -> bool:
        """Tells whether every layer's outputs are a sigmoid's arguments, and not values."""
        return self.reconstruction is Reconstruction.cross_entropy
