"""Moves codes as asked for, in directions learned from a run's own pictures.

Codes are flat, (N, D) float64, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import ImageSet, Splits, evenly_spaced
from sslcli.errors import SslcliError
from sslcli.evaluation.code_directions import (
    Principal,
    attribute_directions,
    class_means,
    near_means,
    principal,
)
from sslcli.evaluation.probe import Probe, fit_probe
from sslcli.evaluation.restoration_monitor import NUM_WATCHED
from sslcli.text import printable
from sslcli.tools.edit.wish import By, Wish
from sslcli.trained.coder import Coder
from sslcli.trained.least_change import Least, sure_margin

MOST = 20_000
"""Labelled training pictures, evenly spaced, that directions are learned from at most."""
SHARE = 0.3
"""The part of a class's codes, the nearest, whose mean a picture moves to; chosen on validation."""
PROBE_L2 = 1e-2
"""Of the probe that sees classes in codes."""
LISTED = 12

Move = Callable[[Tensor], Tensor]
"""Returns the ways (N, D) that codes (N, D) go at strength 1."""


@dataclass(frozen=True, eq=False)
class Learned:
    """Learns directions from the codes of a run's training pictures, each when asked for."""

    coder: Coder
    splits: Splits

    def codes(self, images: ImageSet) -> Tensor:
        return self.coder.encode_images(images.images).flatten(1).double()

    @cached_property
    def labelled(self) -> ImageSet:
        """Returns the training pictures with a class; raises SslcliError where there is none."""
        labels = self.splits.train.labels
        if labels is None:
            why = self.splits.no_labels
            message = "the run's pictures have no classes" + ("" if why is None else f": {why}")
            fix = "try --direction 1=2 or --between PICTURE; or train on pictures in class folders"
            if self.splits.train.targets is not None:
                fix = f"their columns are attributes: --attribute {self.names[0]}=+1"
            raise SslcliError(message, fix)
        return self._some(np.flatnonzero(labels >= 0))

    @cached_property
    def described(self) -> ImageSet:
        """Returns the training pictures whose targets are known; raises SslcliError for none."""
        targets = self.splits.train.targets
        if targets is None:
            message = "the run's pictures have no attributes, and no numbers"
            fix = "train with data=table, data.labels=COLUMN or data.target=COLUMN"
            if self.splits.train.labels is not None:
                fix = "they have classes: --towards CLASS"
            raise SslcliError(message, fix)
        known = ~np.isnan(targets.astype(np.float64)).any(axis=1)
        return self._some(np.flatnonzero(known))

    def _some(self, rows: NDArray[np.int64]) -> ImageSet:
        return self.splits.train.subset(rows[evenly_spaced(len(rows), MOST)])

    @cached_property
    def class_codes(self) -> tuple[Tensor, Tensor]:
        """Returns codes (M, D) and classes (M,) of the labelled pictures."""
        assert self.labelled.labels is not None
        return self.codes(self.labelled), torch.from_numpy(self.labelled.labels)

    @cached_property
    def probe(self) -> Probe:
        codes, labels = self.class_codes
        return fit_probe(codes, labels, self.splits.num_classes, PROBE_L2)

    @cached_property
    def means(self) -> Tensor:
        return class_means(*self.class_codes, self.splits.num_classes)

    @cached_property
    def principal(self) -> Principal:
        """Returns the directions that figures/traversals.png shows, of the same pictures."""
        val = self.splits.val
        return principal(self.codes(val.subset(evenly_spaced(len(val), NUM_WATCHED))))

    @property
    def classes(self) -> list[str]:
        """Returns the names of the classes, or their numbers where the data name none."""
        return list(self.splits.classes or map(str, range(self.splits.num_classes)))

    @property
    def names(self) -> list[str]:
        """Returns the names of the targets."""
        assert self.splits.train.targets is not None
        number = self.splits.train.targets.shape[1]
        return list(self.splits.target_names or map(str, range(number)))

    def class_number(self, name: str) -> int:
        """Returns the number of a class; raises SslcliError where no labelled picture has it."""
        labels = self.labelled.labels
        assert labels is not None
        if name not in self.classes:
            raise _unknown("class", name, self.classes)
        number = self.classes.index(name)
        if not (labels == number).any():
            message = f"no training picture is of the class {name!r}"
            raise SslcliError(message, f"choose another: {_listed(self.classes)}")
        return number

    def towards(self, target: int, by: By) -> Move:
        """Returns the move to a class, which is all of the way where there is no other class."""
        codes, labels = self.class_codes
        of_class = codes[labels == target]

        def near(z: Tensor) -> Tensor:
            return near_means(z, of_class, SHARE) - z

        def least(z: Tensor) -> Tensor:
            margin = sure_margin(self.probe, of_class, target)
            deviations = codes.std(dim=0, correction=0)
            return Least(self.coder, self.probe, deviations, target, margin).ways(z, near(z))

        def mean(z: Tensor) -> Tensor:
            return self.means[target] - self.means[self.seen(z)]

        alone = self.splits.num_classes == 1
        return {By.least: near if alone else least, By.near: near, By.mean: mean}[by]

    def seen(self, codes: Tensor) -> Tensor:
        """Returns the class (N,) that the probe sees in each code."""
        return self.probe.logits(codes).argmax(dim=1)

    def attribute(self, name: str) -> Tensor:
        """Returns by how much codes change, (D,), with one more of the attribute or number."""
        described, names = self.described, self.names
        if name not in names:
            raise _unknown("attribute", name, names)
        assert described.targets is not None
        targets = torch.from_numpy(described.targets.astype(np.float64))
        if bool((targets[:, names.index(name)] == targets[0, names.index(name)]).all()):
            message = (
                f"the attribute {name!r} is the same in all {len(targets):,} training pictures"
            )
            raise SslcliError(message, "choose one that differs between pictures")
        return attribute_directions(self.codes(described), targets)[names.index(name)]

    def direction(self, number: int) -> Tensor:
        """Returns a standard deviation's way, (D,), along a principal direction, from 1."""
        count = len(self.principal.directions)
        if number > count:
            message = f"--direction {number}: the run's codes have {count} principal directions"
            raise SslcliError(message, f"choose 1 to {count}")
        return self.principal.deviations[number - 1] * self.principal.directions[number - 1]

    def move(self, wish: Wish) -> Move:
        """Returns all that is asked for as one move. Raises SslcliError for unknown names."""
        moves: list[Move] = []
        if wish.towards is not None:
            moves.append(self.towards(self.class_number(wish.towards), wish.by))
        fixed = [amount * self.attribute(name) for name, amount in wish.attributes.items()]
        fixed += [amount * self.direction(number) for number, amount in wish.directions.items()]
        total = sum(fixed, torch.zeros((), dtype=torch.float64))
        return lambda z: total + sum((move(z) for move in moves), torch.zeros_like(z))


def _unknown(kind: str, name: str, known: list[str]) -> SslcliError:
    plural = {"class": "classes", "attribute": "attributes"}[kind]
    return SslcliError(
        f"the run's pictures have no {kind} {printable(name)!r}",
        f"their {plural}: {_listed(known)}",
    )


def _listed(names: list[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
