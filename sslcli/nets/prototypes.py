"""Directions that features are compared with: the clusters of SwAV and DINO."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear, normalize


class Prototypes(nn.Linear):
    """(N, D) -> (N, K): the cosine similarity with each of K learned directions.

    Differs: the weights are normalised whenever they are used, as DINO's are, and stay of any
    length; SwAV's code makes them of length 1 before every step, so its gradients have a part along
    the weights.
    """

    def __init__(self, width: int, num: int) -> None:
        super().__init__(width, num, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        return linear(normalize(z, dim=1), normalize(self.weight, dim=1))
