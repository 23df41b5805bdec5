"""Detects collapsed features without labels.

N images, D the features' width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

MIN_FEATURE_STD = 0.002
"""Below it every picture has nearly the same features.

Untrained networks, measured on Fashion-MNIST, have 0.07 (ResNet-50), 0.1 (ResNet-18), 0.2 to 0.5
(small convolutional nets, a ViT); three layers of sigmoids 0.004.
"""

MIN_EFFECTIVE_RANK = 1.2
"""Below it the features vary along one direction only.

Measured as above: 7 to 130; three layers of sigmoids 1.5.
"""

MIN_WIDTH_FOR_RANK = 4
"""A narrower code may well have one main direction."""


def feature_std(features: Tensor) -> float:
    """Measures the spread of L2-normalised features (N, D), from 0 to about 1.

    The standard deviation over pictures, averaged over dimensions, times sqrt(D): 0 where all
    pictures have one direction, 1 where directions are uniform. Non-negative features (after a
    ReLU) share a mean and lie between. Source: Chen & He 2021 (SimSiam), section 4.1, there for the
    projections and without sqrt(D).
    """
    spread = normalize(features.float(), dim=1).std(dim=0, correction=0).mean()
    return float(spread) * math.sqrt(features.shape[1])


def effective_rank(features: Tensor) -> float:
    """Returns the RankMe of features (N, D), from 1 to min(N, D), not centred.

    Source: Garrido et al. 2023, eq. 1 and 2: the `smooth_rank` of the singular values. The paper
    takes 25,600 pictures: compare values only at the same number of pictures.
    """
    return smooth_rank(singular_values(features))


def singular_values(matrix: Tensor) -> Tensor:
    """Returns the min(N, D) singular values of (N, D), ascending, in float64.

    They are on the CPU. Those below 1e-8 of the largest are noise.
    """
    # The smaller Gram matrix is quicker than an SVD. Some devices have no float64.
    wide = matrix if matrix.shape[0] < matrix.shape[1] else matrix.T
    rows = wide.cpu().double()
    eigenvalues: Tensor = torch.linalg.eigvalsh(rows @ rows.T)
    return eigenvalues.clamp(min=0).sqrt()


def smooth_rank(values: Tensor) -> float:
    """Returns the effective number of non-negative values (K,): exp(entropy), 1 to K."""
    total = values.sum()
    p = (values / total if total > 0 else values) + 1e-7
    return float(torch.special.entr(p).sum().exp())


def collapse_alarm(feature_std: float, effective_rank: float, width: int) -> str | None:
    """Describes the collapse of features of `width` dimensions; None if there is none."""
    if feature_std < MIN_FEATURE_STD:
        return (
            f"every picture gets nearly the same features: their spread is {feature_std:.1g}, "
            "where an untrained network has about 0.1 and a healthy one up to 1"
        )
    if width >= MIN_WIDTH_FOR_RANK and effective_rank < MIN_EFFECTIVE_RANK:
        rank = f"{effective_rank:.2f} of {width}"
        return f"the features vary along one direction: their effective rank is {rank}"
    return None
