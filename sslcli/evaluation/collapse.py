"""Whether features have collapsed, seen without labels. N images, D the features' width."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

MIN_FEATURE_STD = 0.002
"""Below it every picture has nearly the same features. Untrained networks, measured on Fashion-MNIST, have
0.07 (ResNet-50), 0.1 (ResNet-18), 0.2 to 0.5 (small convolutional nets, a ViT); three layers of sigmoids
0.004."""

MIN_EFFECTIVE_RANK = 1.2
"""Below it the features are one direction. Measured as above: 7 to 130; the three layers of sigmoids 1.5."""

MIN_WIDTH_FOR_RANK = 4
"""A code narrower than this may well have one main direction."""


def feature_std(features: Tensor) -> float:
    """The spread of L2-normalised features (N, D): std over pictures, mean over dimensions, times sqrt(D).

    0 where all pictures have one direction, 1 where directions are uniform. Features that cannot be negative
    (after a ReLU) share a mean and lie between.
    Source: Chen & He 2021 (SimSiam), section 4.1, there for the projections and without sqrt(D).
    """
    spread = normalize(features.float(), dim=1).std(dim=0, correction=0).mean()
    return float(spread) * math.sqrt(features.shape[1])


def effective_rank(features: Tensor) -> float:
    """RankMe: exp of the entropy of the features' (N, D) singular values, from 1 to min(N, D). Not centred.

    Source: Garrido et al. 2023, eq. 1 and 2: p = sigma / sum(sigma) + 1e-7. The paper takes 25,600 pictures:
    compare values only at the same number of pictures.
    """
    # The smaller Gram matrix, in float64 on the CPU: quicker than an SVD, and some devices have no float64.
    wide = features if features.shape[0] < features.shape[1] else features.T
    rows = wide.cpu().double()
    sigma = torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0).sqrt()
    total = sigma.sum()
    p = (sigma / total if total > 0 else sigma) + 1e-7
    return float(torch.special.entr(p).sum().exp())


def collapse_alarm(feature_std: float, effective_rank: float, width: int) -> str | None:
    """Plain words where features of `width` dimensions have collapsed, else None."""
    if feature_std < MIN_FEATURE_STD:
        return (
            f"every picture gets nearly the same features: their spread is {feature_std:.1g}, "
            "where an untrained network has about 0.1 and a healthy one up to 1"
        )
    if width >= MIN_WIDTH_FOR_RANK and effective_rank < MIN_EFFECTIVE_RANK:
        return f"the features vary along one direction: their effective rank is {effective_rank:.2f} of {width}"
    return None
