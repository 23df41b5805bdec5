"""Makes views and keeps how each was made, to tell what became of the pictures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sslcli.augment.augmentation import Augmentation, Parameters
from sslcli.augment.colour import ColourJitter
from sslcli.augment.spoils import Erasing


class Outcome(NamedTuple):
    """Holds what became of N pictures in V views, each (V, N).

    `area`: the part of the picture that is in the view, and not erased there. `change`: the mean
    change of a value that colours, blur and the like make, where crop and turns are the same.
    """

    area: Tensor
    change: Tensor


@dataclass(frozen=True)
class Recorded(Augmentation):
    """Is an augmentation that keeps the outcome of each call."""

    outcomes: list[Outcome] = field(default_factory=list)

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        self.outcomes.append(outcome(plain(self), images, parameters))
        return super().apply(images, parameters)


def recorded(part: Any, found: list[Recorded]) -> Any:
    """Returns a method, or a part of it, that keeps the outcomes of its augmentations.

    Adds them to `found`, in the order of the fields.
    """
    if isinstance(part, Augmentation):
        found.append(Recorded(**{f.name: getattr(part, f.name) for f in fields(Augmentation)}))
        return found[-1]
    if not dataclasses.is_dataclass(part) or isinstance(part, type | torch.nn.Module):
        return part
    values = {f.name: getattr(part, f.name) for f in fields(part) if f.init}
    changed = {name: recorded(value, found) for name, value in values.items()}
    same = all(changed[name] is value for name, value in values.items())
    return part if same else replace(part, **changed)


def plain(augmentation: Augmentation) -> Augmentation:
    """Returns the augmentation without the class's further duties, and not normalised."""
    values = {f.name: getattr(augmentation, f.name) for f in fields(Augmentation)}
    return Augmentation(**{**values, "normalization": None})


def outcome(augmentation: Augmentation, images: Tensor, parameters: Parameters) -> Outcome:
    """Returns what the parameters, V·N rows, make of N pictures."""
    resolution = images.shape[1]
    area = parameters.boxes[:, 2:].double().prod(1) / resolution**2
    operations = (*augmentation.before_colours, *augmentation.after_colours)
    for operation, drawn in zip(operations, parameters.further, strict=True):
        if isinstance(operation, Erasing):
            erased = drawn[:, 2:].double().prod(1) / augmentation.crop.side(resolution) ** 2
            area = area * (1 - erased)
    views = augmentation.apply(images, parameters)
    moved = moved_only(augmentation, parameters)
    change = (views - moved[0].apply(images, moved[1])).abs().flatten(1).mean(1)
    return Outcome(area.view(-1, len(images)), change.cpu().view(-1, len(images)))


def moved_only(
    augmentation: Augmentation, parameters: Parameters
) -> tuple[Augmentation, Parameters]:
    """Returns the augmentation, and its parameters, without what changes values."""
    before = augmentation.before_colours
    kept = [i for i, operation in enumerate(before) if operation.moves]
    still = replace(
        augmentation,
        jitter=ColourJitter(0.0, 0.0, 0.0, 0.0, 0.0),
        before_colours=tuple(before[i] for i in kept),
        after_colours=(),
    )
    return still, replace(
        parameters,
        gray=torch.zeros_like(parameters.gray),
        sigma=torch.zeros_like(parameters.sigma),
        solarized=torch.zeros_like(parameters.solarized),
        further=tuple(parameters.further[i] for i in kept),
    )
