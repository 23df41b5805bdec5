"""Defines pictures that were squeezed to squares, with the shapes that they had.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Squeezed:
    """Holds N pictures that were squeezed to squares, of which crops are drawn unsqueezed.

    `images` (N, S, S, C), of this process; `aspects`, width over height, on the CPU, of those of
    all processes.
    """

    images: Tensor
    aspects: Tensor

    def __len__(self) -> int:
        return len(self.images)
