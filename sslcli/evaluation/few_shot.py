"""Scores features by few-shot episodes: a class is known by the mean of a few pictures.

N images, D width, W classes an episode ("ways"), S pictures to learn a class from ("shots"), Q
pictures of each class to classify ("queries").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.evaluation.precision import directions, in_float64
from sslcli.evaluation.scores import mean_and_interval
from sslcli.seeding import derive_seed

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Episodes:
    """Says what few-shot episodes are made of."""

    ways: int = 5
    shots: tuple[int, ...] = (1, 5)
    queries: int = 15
    number: int = 600

    @property
    def per_class(self) -> int:
        """Returns how many pictures an episode takes of each of its classes."""
        return max(self.shots) + self.queries

    def classes(self, labels: Indices) -> Indices:
        """Returns the classes with enough pictures.

        Raises SslcliError where these are fewer than the ways.
        """
        names, counts = np.unique(labels, return_counts=True)
        enough = names[counts >= self.per_class]
        if len(enough) < self.ways:
            message = (
                f"few-shot episodes need {self.per_class} test pictures of {self.ways} classes, "
                f"and {len(enough)} of {len(names)} classes have so many"
            )
            smaller = (
                f"try few_shot_ways={len(enough)}" if len(enough) > 1 else "leave few_shot out"
            )
            raise SslcliError(message, smaller)
        return enough

    def draw(self, labels: Indices, seed: int) -> Indices:
        """Returns the pictures (episodes, W, S + Q) of every episode; see `few_shot_scores`."""
        classes = self.classes(labels)
        members = [np.flatnonzero(labels == one) for one in classes]
        rng = np.random.default_rng(derive_seed("few_shot", seed))
        return np.array(
            [
                [
                    rng.choice(members[one], self.per_class, replace=False)
                    for one in rng.choice(len(classes), self.ways, replace=False)
                ]
                for _ in range(self.number)
            ]
        )


def few_shot_scores(
    features: Tensor, labels: Tensor, centre: Tensor, episodes: Episodes, seed: int = 0
) -> dict[int, tuple[float, float | None]]:
    """Returns, by shots, the mean accuracy over episodes and half its 95 % interval.

    `features` are (N, D), `labels` (N,) int64. From the features `centre` (D,), a mean of training
    features, is subtracted; then they are L2-normalised. A query belongs to the class whose shots'
    mean is nearest, by Euclidean distance; of equally near ones to the first that was drawn. The
    episodes depend on labels and seed alone, and all shots share classes, queries and pictures. The
    interval is Student's t: of other episodes of these pictures, not of other pictures.

    Source: SimpleShot (Wang et al. 2019), CL2N. Differs: the classes may have been seen in
    training. Raises SslcliError where too few classes have enough pictures.
    """
    drawn = episodes.draw(labels.cpu().numpy(), seed)
    unit = directions(in_float64(features) - in_float64(centre)).cpu()
    accuracies = [_accuracies(unit[torch.from_numpy(one)], episodes.shots) for one in drawn]
    by_shots = zip(*accuracies, strict=True)
    return {k: mean_and_interval(of) for k, of in zip(episodes.shots, by_shots, strict=True)}


def _accuracies(pictures: Tensor, shots: Sequence[int]) -> list[float]:
    """Returns one episode's accuracy for each number of shots; `pictures` are (W, S + Q, D)."""
    queries = pictures[:, max(shots) :]
    true = np.arange(len(pictures))[:, None]
    found = []
    for k in shots:
        means = pictures[:, :k].mean(dim=1)
        # |q - m|^2 without |q|^2, which is alike for all classes.
        distance = means.square().sum(dim=1) - 2 * queries @ means.T
        # NumPy's argmin takes the first of equals; torch promises none.
        found.append(float((distance.numpy().argmin(axis=2) == true).mean()))
    return found
