"""Computes adversarial losses of a discriminator's logits.

These have any shape; positive says "real". All is computed in float32 at least.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sslcli.losses.precision import full_precision


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Returns -log D(real) - log(1 - D(fake)), each a mean: 2 log 2 at chance.

    D is the sigmoid of the logits. Source: Goodfellow et al. 2014; Pathak et al. 2016, L_adv, and
    their released code, which adds the two means and does not halve them.
    """
    return _minus_log(real_logits) + _minus_log(-fake_logits)


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Returns the mean of -log D(fake): log 2 at chance.

    Source: Goodfellow et al. 2014, the non-saturating variant; the released code of Pathak et al.
    2016. Differs from the latter's L_adv, log(1 - D(fake)), whose gradient vanishes where the
    discriminator wins.
    """
    return _minus_log(fake_logits)


def _minus_log(logits: Tensor) -> Tensor:
    """Returns the mean of -log sigmoid(logits)."""
    return -logsigmoid(full_precision(logits)).mean()
