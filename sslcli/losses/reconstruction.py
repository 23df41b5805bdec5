"""Measures how far a decoder's outputs are from the clean pictures.

N pictures, of any shape (N, ...).

All are computed in float32 at least, whatever the inputs' dtype: a sum over half a million
components overflows fp16. `weights` are no part of the graph: numbers or a mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns the binary cross-entropy of sigmoid(`logits`) with `target` in [0, 1].

    It is summed over a picture's components, mean over N. `weights`, of the target's shape,
    multiply the components. Source: Vincent et al. 2010, L_H; with weights its emphasis: alpha
    where the input was corrupted, beta elsewhere.
    """
    logits, target = _same_shape(logits, target)
    weights = None if weights is None else weights.to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target, weights, reduction="sum") / len(
        target
    )


def squared_error(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns squared differences, summed over a picture's components, mean over N.

    `weights` as for `cross_entropy`. Source: Vincent et al. 2010, L_2, there up to a constant
    factor.
    """
    prediction, target = _same_shape(prediction, target)
    squares = (prediction - target).square()
    return (squares if weights is None else squares * weights).sum() / len(target)


def masked_squared_error(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Returns each picture's weighted mean of squared differences, mean over N.

    `weights` (N, 1, H, W) count for every channel of `target` (N, C, H, W): a mask, or more where
    more is at stake (10 in the band around a hole). A picture whose weights are all 0 counts as 0.
    Source: Pathak et al. 2016, L_rec, the "normalized masked L2".
    """
    prediction, target = _same_shape(prediction, target)
    weights = weights.to(target.dtype).expand_as(target).flatten(1)
    squares = (prediction - target).square().flatten(1)
    total = weights.sum(dim=1).clamp(min=torch.finfo(target.dtype).tiny)
    return ((weights * squares).sum(dim=1) / total).mean()


def _same_shape(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both in float32, or float64 where one of them is."""
    assert prediction.shape == target.shape, (
        f"{tuple(prediction.shape)} is compared with {tuple(target.shape)}"
    )
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    return prediction.to(dtype), target.to(dtype)
