"""Measures what an autoencoder's codes are held to beside the reconstruction.

N pictures, codes (N, ...) of D numbers each. All are computed in float32 at least.
"""

from __future__ import annotations

import torch
from torch import Tensor


def normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Returns the divergence of N(mean, variance) from N(0, 1), summed over D, mean over N.

    Source: Kingma & Welling 2014, eq. 10 and appendix B: minus its first term.
    """
    mean, log_variance = _wide(mean), _wide(log_variance)
    each = mean.square() + log_variance.exp() - 1 - log_variance
    return each.sum() / (2 * len(mean))


def contraction(inputs: Tensor, codes: Tensor, directions: Tensor) -> Tensor:
    """Returns the squared norm of the codes' Jacobian along `directions`, mean over N.

    `codes` are computed of `inputs` (N, ...), which require a gradient; `directions`, of the codes'
    shape, are standard normal, so that its expectation is the Frobenius norm's square. Source:
    Rifai et al. 2011, "Contractive Auto-Encoders", eq. 2. Differs: they compute that of one sigmoid
    layer in closed form; along a random direction it costs one more backward pass, of any encoder
    (Hoffman, Roberts, Yaida 2019). Batch norm in training mode lets pictures of a batch touch one
    another, and that counts too.
    """
    # Half precision would round small entries of the Jacobian to 0.
    along = (_wide(codes) * _wide(directions)).sum()
    (gradient,) = torch.autograd.grad(along, inputs, create_graph=True)
    return _wide(gradient).square().sum() / len(inputs)


def mean_activity(codes: Tensor, wanted: float) -> Tensor:
    """Returns the divergence of units that are on `wanted` of the time from those of `codes`.

    `codes` in [0, 1]; a unit's mean over N is how often it is on; summed over D. Source: Ng 2011,
    "Sparse autoencoder" (CS294A), the sum of KL(rho || rho_j). Differs: over the batch, not all
    pictures.
    """
    means = _wide(codes).flatten(1).mean(dim=0)
    tiny = torch.finfo(means.dtype).eps
    on, off = means.clamp(min=tiny), (1 - means).clamp(min=tiny)
    target = torch.full_like(means, wanted)
    each = target * (target / on).log() + (1 - target) * ((1 - target) / off).log()
    return each.sum()


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
