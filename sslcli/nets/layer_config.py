"""Names what the layers of encoders are made of. Does not import torch."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from sslcli import nets

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


class Stem(Enum):
    """Names the first layer of a ResNet.

    `imagenet`: 7x7 of stride 2 with max-pool; `small`: 3x3 of stride 1 without; `auto`: by size.
    """

    auto = "auto"
    imagenet = "imagenet"
    small = "small"


class Activation(Enum):
    """Names the nonlinearity of a chain of layers."""

    relu = "relu"
    sigmoid = "sigmoid"
    tanh = "tanh"

    def module(self) -> Callable[[], nn.Module]:
        return nets.activation(self.name)


class Norm(Enum):
    """Names what normalises convolutions.

    That is the statistics of the `batch` or, alike for every picture, those of a `group` of its
    channels, so that chunks, devices and small batches change nothing.
    """

    batch = "batch"
    group = "group"

    def module(self) -> Callable[[int], nn.Module]:
        """Returns what makes the norm of a number of channels."""
        return nets.normalization(self.name)
