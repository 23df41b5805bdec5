"""Names what an encoder with given weights begins with, and is fed. Does not import torch."""

from __future__ import annotations

from enum import Enum


class Fed(Enum):
    """Names the mean and deviation by which the input of given weights is normalised.

    `auto`: as the weights' origin says, or else those of the `data`.
    """

    auto = "auto"
    imagenet = "imagenet"
    data = "data"


PUBLIC = "public"  # in place of a file: what the network's library publishes
