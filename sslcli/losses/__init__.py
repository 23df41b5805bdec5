"""Losses: pure functions of tensors. They hold no state and know nothing of methods. Importing this does not import torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslcli.losses.contrastive import nt_xent, rank_accuracy

_HOME = {"nt_xent": "contrastive", "rank_accuracy": "contrastive"}

__all__ = ["nt_xent", "rank_accuracy"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"sslcli.losses has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"sslcli.losses.{_HOME[name]}"), name)
