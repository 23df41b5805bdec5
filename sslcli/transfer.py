"""Sends what the host knows to a run's device, without waiting for it.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Returns the CPU's `values` on the device.

    CUDA copies from memory that is not pinned only once all that was asked of it before is done,
    and the host waits for that; torch's debug mode of waits does not tell.
    """
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def per_channel(values: Sequence[float], pictures: Tensor) -> Tensor:
    """Returns numbers of C channels beside pictures (N, C, H, W), on their device: (C, 1, 1)."""
    return sent(pictures.new_tensor(values, device="cpu"), pictures.device).view(-1, 1, 1)
