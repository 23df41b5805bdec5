"""Losses: pure functions of tensors. They hold no state and know nothing of methods. Importing this does not import torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslcli.losses.adversarial import discriminator_loss, generator_loss
    from sslcli.losses.contrastive import nt_xent, rank_accuracy
    from sslcli.losses.reconstruction import cross_entropy, masked_squared_error, squared_error

_HOME = {
    "cross_entropy": "reconstruction",
    "discriminator_loss": "adversarial",
    "generator_loss": "adversarial",
    "masked_squared_error": "reconstruction",
    "nt_xent": "contrastive",
    "rank_accuracy": "contrastive",
    "squared_error": "reconstruction",
}

__all__ = [
    "cross_entropy",
    "discriminator_loss",
    "generator_loss",
    "masked_squared_error",
    "nt_xent",
    "rank_accuracy",
    "squared_error",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"sslcli.losses has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"sslcli.losses.{_HOME[name]}"), name)
