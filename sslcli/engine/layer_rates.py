"""Gives each layer of an encoder its part of the learning rate. Does not import torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
        sizes = {f"{start}{name}": value.dim() for name, value in module.named_parameters()}
        if any(name in rates for name in sizes):
            continue  # an encoder within an encoder, as behind a bottleneck
        depths = block_depths(sizes)
        last = max(depths.values(), default=0)
        rates.update({name: decay ** (last - depth) for name, depth in depths.items()})
    return rates


def block_depths(dimensions: Mapping[str, int]) -> dict[str, int]:
    """Returns how deep each parameter lies, from 0, by the numbers in the names.

    A block is what shares the name up to its first number: `blocks.3`, `resnet.layer1.0`. A norm
    that is numbered by itself, whose parameters have one dimension, belongs to the block before it.
    """
    blocks: dict[str, list[str]] = {}
    for name in dimensions:
        found = re.match(r"(?:.*?\.)?\d+(?=\.)", name)
        place = "behind" if any(key not in ("before", "behind") for key in blocks) else "before"
        blocks.setdefault(place if found is None else found[0], []).append(name)
    depths: dict[str, int] = {}
    depth = -1
    for block, names in blocks.items():
        is_norm = block not in ("before", "behind") and all(dimensions[name] < 2 for name in names)
        depth += not (is_norm and depth >= 0)
        depths.update(dict.fromkeys(names, depth))
    return depths
