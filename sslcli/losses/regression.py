"""Predicting one view's embedding from the other's: BYOL, SimSiam, distillation."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sslcli.losses.precision import full_precision


def mean_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean cosine similarity of the rows of two matrices (N, D).

    BYOL minimises 2 - 2 times it (Grill et al. 2020, eq. 2), SimSiam its negative (Chen and He
    2021, eq. 1). Whether the targets get a gradient is the caller's. Computed in float32 at
    least, under autocast too.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        predictions, targets = full_precision(predictions), full_precision(targets)
        return F.cosine_similarity(predictions, targets, dim=1, eps=1e-12).mean()
