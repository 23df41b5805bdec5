"""Fits the tensors of a file to an encoder, and loads those that fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sslcli.nets.encoder import Encoder
from sslcli.nets.weight_names import Candidate, Tensors, candidates, plain_name

Shape = tuple[int, ...]
COUNTER = "num_batches_tracked"
"""Of a batch norm: no number that a network computes by."""


class Change(NamedTuple):
    """Says how a tensor of a file became, or did not become, one of the encoder."""

    name: str
    before: Shape
    after: Shape
    how: str = ""


@dataclass(frozen=True)
class Fit:
    """Says what of an encoder one network of a file holds.

    `share`: the part of the encoder's numbers that it gives. `reshaped`: tensors that are adapted;
    `differing`: those of another shape that cannot be. `unexpected`: what the encoder lacks.
    """

    candidate: Candidate
    share: float
    same: list[str]
    reshaped: list[Change]
    differing: list[Change]
    missing: list[str]
    unexpected: list[str]
    others: tuple[str, ...] = ()
    """Places of the file that fit as well."""

    @property
    def num_loaded(self) -> int:
        return len(self.same) + len(self.reshaped)

    @property
    def num_expected(self) -> int:
        return self.num_loaded + len(self.differing) + len(self.missing)


def best_fit(
    tables: Mapping[str, Tensors], encoder: Encoder, part: str | None = None
) -> Fit | None:
    """Returns the fit of the network that gives the largest share of the encoder's numbers.

    `part`: only of networks whose place holds this text. Returns None where no name is known.
    """
    own = numbers_of(encoder)
    found = [
        fitted(candidate, own)
        for candidate in candidates(tables, own)
        if part is None or part in candidate.place
    ]
    if not found:
        return None
    best = min(found, key=lambda fit: (-fit.share, fit.candidate.rank))
    equal = [fit for fit in found if fit.share == best.share > 0 and not _is_same(fit, best)]
    others = tuple(dict.fromkeys(fit.candidate.place for fit in equal))
    return Fit(**{**vars(best), "others": others})


def _is_same(fit: Fit, best: Fit) -> bool:
    """Tells whether two fits are of the same tensors, only found in two ways."""
    if fit.candidate.place == best.candidate.place:
        return True
    pairs = ((fit.candidate.tensors[name], best.candidate.tensors[name]) for name in best.same)
    return fit.same == best.same and all(one is other for one, other in pairs)


def numbers_of(encoder: Encoder) -> Tensors:
    """Returns the encoder's weights and statistics."""
    state = encoder.state_dict()
    return {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}


def fitted(candidate: Candidate, own: Mapping[str, Tensor]) -> Fit:
    """Compares names and shapes."""
    same: list[str] = []
    missing: list[str] = []
    reshaped: list[Change] = []
    differing: list[Change] = []
    first = first_layer(own)
    for name, tensor in own.items():
        given = candidate.tensors.get(name)
        if given is None or given.is_floating_point() != tensor.is_floating_point():
            missing.append(name)
            continue
        before, after = tuple(given.shape), tuple(tensor.shape)
        how = "" if before == after else _how(name, before, after, first)
        change = Change(name, before, after, how)
        if before == after:
            same.append(name)
        else:
            (reshaped if how else differing).append(change)
    given_names = [*same, *(change.name for change in reshaped)]
    share = sum(own[name].numel() for name in given_names) / sum(t.numel() for t in own.values())
    extra = [
        name
        for name, tensor in candidate.tensors.items()
        if name not in own and not name.endswith(COUNTER)
    ]
    return Fit(candidate, share, same, reshaped, differing, missing, extra)


def first_layer(own: Mapping[str, Tensor]) -> str | None:
    """Returns the name of the encoder's first convolution, which sees the pictures."""
    return next((name for name, tensor in own.items() if tensor.ndim == 4), None)


def _how(name: str, before: Shape, after: Shape, first: str | None) -> str:
    """Says how a tensor is adapted; nothing where it cannot be."""
    if name == first and len(before) == 4 and before[:1] + before[2:] == after[:1] + after[2:]:
        if after[1] == 1:
            return f"summed over {before[1]} channels"
        return f"repeated for {after[1]} channels, times {before[1]}/{after[1]}"
    old, new = _grid(before), _grid(after)
    if plain_name(name) != "pos_embed" or old is None or new is None:
        return ""
    if old.start == new.start and before[2] == after[2]:
        return f"interpolated from {old.side}x{old.side} to {new.side}x{new.side}"
    return ""


class _Grid(NamedTuple):
    """Counts the tokens before the patches, and the patches of a side."""

    start: int
    side: int


def _grid(shape: Shape) -> _Grid | None:
    """Returns the grid of position embeddings (1, n, D); None where n is that of none."""
    if len(shape) != 3:
        return None
    for start in (0, 1):
        side = math.isqrt(max(0, shape[1] - start))
        if side > 0 and side * side + start == shape[1]:
            return _Grid(start, side)
    return None


def adapted(change: Change, tensor: Tensor) -> Tensor:
    """Returns the tensor in the encoder's shape.

    Source: timm, adapt_input_conv and resample_abs_pos_embed. The output of the first layer stays
    as large as it was: of grey pictures it is that of the same ones in colours.
    """
    tensor = tensor.float()
    if tensor.ndim == 3:
        return _interpolated(tensor, change.after)
    channels, before = change.after[1], change.before[1]
    if channels == 1:
        return tensor.sum(dim=1, keepdim=True)
    repeated = tensor.repeat(1, math.ceil(channels / before), 1, 1)[:, :channels]
    return repeated * (before / channels)


def _interpolated(positions: Tensor, after: Shape) -> Tensor:
    """Returns position embeddings (1, n, D) for a grid of another side."""
    old, new = _grid(tuple(positions.shape)), _grid(after)
    assert old is not None, "the file's shape was looked at before"
    assert new is not None, "the encoder's too"
    grid = positions[:, old.start :].transpose(1, 2).unflatten(2, (old.side, old.side))  # type: ignore[no-untyped-call]
    resized = F.interpolate(grid, (new.side, new.side), mode="bicubic", antialias=True)
    return torch.cat([positions[:, : old.start], resized.flatten(2).transpose(1, 2)], dim=1)


def deeper(fit: Fit, own: Mapping[str, Tensor]) -> list[str]:
    """Returns what the file has beyond the encoder inside its own numbered layers.

    Such as the blocks of a deeper network, or scales that this one does not apply: what was loaded
    would compute something else.
    """
    stems = {plain_name(name).split(".")[0] for name in own}
    return [
        name
        for name in fit.unexpected
        if plain_name(name).split(".")[0] in stems
        and any(part.isdigit() for part in name.split("."))
    ]


def not_finite(fit: Fit) -> list[str]:
    """Returns the names of tensors to be loaded that hold NaN or infinities."""
    names = [*fit.same, *(change.name for change in fit.reshaped)]
    return [name for name in names if not bool(fit.candidate.tensors[name].isfinite().all())]


def load_fit(encoder: Encoder, fit: Fit) -> None:
    """Copies what fits into the encoder; what is missing stays as it is."""
    ready: Tensors = {name: fit.candidate.tensors[name] for name in fit.same}
    for change in fit.reshaped:
        ready[change.name] = adapted(change, fit.candidate.tensors[change.name])
    state = encoder.state_dict()
    with torch.no_grad():
        for name, tensor in ready.items():
            state[name].copy_(tensor)
