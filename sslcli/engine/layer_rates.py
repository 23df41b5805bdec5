"""Gives each layer of an encoder its part of the learning rate. Does not import torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def layer_rates(network: nn.Module, decay: float) -> dict[str, float]:
    """Returns for each parameter of an encoder its multiple of the learning rate.

    The last block has 1, and each block before it `decay` times that of the next. What comes before
    the first block counts as one block, as does what follows the last one. Returns nothing of
    what is no encoder, such as a projector. Source: Clark et al. 2020 (ELECTRA); Bao et al.
    2022 (BEiT), App. H, whose head has the full rate too.
    """
    rates: dict[str, float] = {}
    for place, module in network.named_modules():
        if not hasattr(module, "code_shape"):  # which every Encoder has
            continue
        start = f"{place}." if place else ""
        names = [f"{start}{name}" for name, _ in module.named_parameters()]
        if names and names[0] in rates:
            continue  # an encoder within an encoder, as behind a bottleneck
        depths = block_depths(names)
        last = max(depths.values(), default=0)
        rates.update({name: decay ** (last - depths[name]) for name in names})
    return rates


def block_depths(names: Iterable[str]) -> dict[str, int]:
    """Returns how deep each parameter lies, from 0, by the numbers in the names.

    A block is what shares the name up to its first number: `blocks.3`, `resnet.layer1.0`.
    """
    order: dict[str, int] = {}
    depths: dict[str, int] = {}
    for name in names:
        found = re.match(r"(?:.*?\.)?\d+(?=\.)", name)
        if found is None:
            block = "behind" if any(key not in ("before", "behind") for key in order) else "before"
        else:
            block = found[0]
        depths[name] = order.setdefault(block, len(order))
    return depths
