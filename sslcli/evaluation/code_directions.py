"""Finds in which direction codes change with a class, a number, or most of all.

Shapes: N codes of D numbers, M codes to learn from, T targets, K classes. All is float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def near_means(codes: Tensor, of_class: Tensor, share: float) -> Tensor:
    """Returns for each code the mean (N, D) of the class's codes that lie nearest to it.

    `of_class` (M, D); `share` of them are taken, at least one. So what a code has beside its class
    is kept where codes of the class have it too.
    """
    assert 0 < share <= 1, share
    count = max(1, round(share * len(of_class)))
    nearest = torch.cdist(codes, of_class).topk(count, dim=1, largest=False).indices
    return torch.stack([of_class[rows].mean(dim=0) for rows in nearest])


def class_means(codes: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Returns each class's mean code (K, D); nan where it has none."""
    return torch.stack([codes[labels == label].mean(dim=0) for label in range(num_classes)])


def attribute_directions(codes: Tensor, targets: Tensor) -> Tensor:
    """Returns by how much codes (M, D) change with each target (M, T), the others being equal.

    (T, D): the coefficients of a least-squares regression of the codes on all targets together. Of
    a single target of 0 and 1 it is the difference of the two means.
    """
    ones = targets.new_ones(len(targets), 1)
    centred = targets - targets.mean(dim=0)
    solved = torch.linalg.lstsq(torch.cat([centred, ones], dim=1), codes, driver="gelsd").solution
    directions: Tensor = solved[:-1]
    return directions


@dataclass(frozen=True, eq=False)
class Principal:
    """Holds principal directions (R, D), largest first, of length 1.

    `deviations` (R,) are the codes' standard deviations along them; `shares` (R,) of the variance.
    """

    centre: Tensor
    directions: Tensor
    deviations: Tensor

    @property
    def shares(self) -> Tensor:
        squares = self.deviations.square()
        # The sum is 0 where all codes are equal.
        return squares / squares.sum().clamp(min=torch.finfo(squares.dtype).tiny)


def principal(codes: Tensor) -> Principal:
    """Returns the principal directions of codes (M, D), of which there are min(M, D)."""
    centre = codes.mean(dim=0)
    _, values, directions = torch.linalg.svd(codes - centre, full_matrices=False)
    return Principal(centre, directions, values / math.sqrt(len(codes)))
