"""Trains one layer of a stack as a denoising autoencoder of the codes below it.

Source: Vincent et al. 2010, stacking: the layers below are trained already and stay as they are;
their codes are clean, and are corrupted for the layer in training alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sslcli.method import Metrics, Minimize, Progress, as_pictures

if TYPE_CHECKING:
    from sslcli.augment.corruption import Corruption
    from sslcli.methods.denoising_autoencoder import Reconstruction
    from sslcli.nets.layered import LayeredEncoder
    from sslcli.nets.layers import Layer


@dataclass
class StackedLayer:
    """Trains `layer`, the `depth`-th of `encoder` from 1, and its mirror.

    A `Learner` of images (N, H, W, C) uint8.
    """

    encoder: LayeredEncoder
    depth: int
    layer: Layer
    mirror: nn.Module
    corruption: Corruption
    reconstruction: Reconstruction

    @classmethod
    def of(
        cls,
        encoder: LayeredEncoder,
        depth: int,
        corruption: Corruption,
        reconstruction: Reconstruction,
        tied: bool,
    ) -> StackedLayer:
        layer: Layer = encoder.layers[depth - 1]  # type: ignore[assignment]
        return cls(encoder, depth, layer, layer.mirror(tied), corruption, reconstruction)

    def modules(self) -> dict[str, nn.Module]:
        return {"layer": self.layer, "mirror": self.mirror}

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"method": [self.layer, self.mirror]}

    def learning_rates(self) -> dict[str, float]:
        return {"method": 1.0}

    def views(self, images: Tensor, /) -> Tensor:
        """Returns the clean codes (N, …) that the layer is given, of (N, H, W, C) uint8."""
        with torch.no_grad():
            codes = self.encoder.entrance(as_pictures(images))
            for below in list(self.encoder.layers)[: self.depth - 1]:
                codes = below(codes)
        return codes

    def reconstruction_loss(self, codes: Tensor, corrupted: Tensor) -> Tensor:
        return self.reconstruction.loss(self.mirror(self.layer(corrupted)), codes, None)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        corrupted, _ = self.corruption(views)
        loss = self.reconstruction_loss(views, corrupted)
        minimize(loss)
        return {"loss": loss.detach()}

    def satisfied(self) -> bool:
        return False
