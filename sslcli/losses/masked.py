"""Losses of masked image models, which predict the patches that are hidden.

N images of L patches of P numbers; `hidden` (N, L) is True where a patch is hidden. Computed in
float32 at least, under autocast too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslcli.losses.precision import full_precision


def hidden_squared_error(predicted: Tensor, patches: Tensor, hidden: Tensor) -> Tensor:
    """Returns the mean squared error of the hidden patches (N, L, P).

    Source: He et al. 2022 (MAE), §3.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        difference = full_precision(predicted) - full_precision(patches)
        return _mean_where(difference.square(), hidden)


def hidden_absolute_error(predicted: Tensor, patches: Tensor, hidden: Tensor) -> Tensor:
    """Returns the mean absolute error of the hidden patches (N, L, P).

    Source: Xie et al. 2022 (SimMIM), eq. 1.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        difference = full_precision(predicted) - full_precision(patches)
        return _mean_where(difference.abs(), hidden)


def normalized_patches(patches: Tensor) -> Tensor:
    """Returns every patch (N, L, P) minus its mean, over its standard deviation.

    The variance is the unbiased one, plus 1e-6. Source: He et al. 2022 (MAE), §3 and the code.
    """
    patches = full_precision(patches)
    mean, var = patches.mean(dim=2, keepdim=True), patches.var(dim=2, keepdim=True)
    return (patches - mean) / (var + 1e-6).sqrt()


def _mean_where(errors: Tensor, hidden: Tensor) -> Tensor:
    return (errors.mean(dim=2) * hidden).sum() / hidden.sum()
