"""Exports the losses, which are pure functions of tensors.

They hold no state and know nothing of methods. Importing this does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.losses.adversarial import discriminator_loss as discriminator_loss
    from sslcli.losses.adversarial import generator_loss as generator_loss
    from sslcli.losses.contrastive import nt_xent as nt_xent
    from sslcli.losses.contrastive import rank_accuracy as rank_accuracy
    from sslcli.losses.reconstruction import cross_entropy as cross_entropy
    from sslcli.losses.reconstruction import masked_squared_error as masked_squared_error
    from sslcli.losses.reconstruction import squared_error as squared_error

HOME = {
    "cross_entropy": "reconstruction",
    "discriminator_loss": "adversarial",
    "generator_loss": "adversarial",
    "masked_squared_error": "reconstruction",
    "nt_xent": "contrastive",
    "rank_accuracy": "contrastive",
    "squared_error": "reconstruction",
}

__getattr__ = exports(__name__, HOME)
