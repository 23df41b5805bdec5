"""Corrupts pictures, or codes, on their device.

N pictures, C channels, H W.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from sslcli.augment.masks import squares
from sslcli.errors import SslcliError
from sslcli.processes import own_rows


@dataclass(frozen=True)
class Corruption:
    """Adds Gaussian noise, salt and pepper, masking and blocks, in this order.

    0 switches one off, and nothing is drawn for it. See CorruptionConfig.
    """

    gaussian: float
    salt_and_pepper: float
    masking: float
    blocks: float

    @property
    def hides(self) -> bool:
        """Tells whether components are blanked."""
        return self.masking > 0 or self.blocks > 0

    def __call__(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Corrupts `clean` (N, ...) in [0, 1]; also returns where, bool of its shape.

        A masked 0 counts as corrupted although its value stays; with Gaussian noise everything
        does. `clean` stays as it is, and is itself returned where all is off. Random from torch's
        global generator of the tensor's device.
        Raises SslcliError where blocks are to be hidden in what is no picture (N, C, H, W).
        """
        corrupted, parts = clean, []
        if self.gaussian > 0:
            noise = own_rows(lambda num: torch.randn_like(_of_all(clean, num)), len(clean))
            corrupted = noise.mul_(self.gaussian).add_(clean)
        if self.salt_and_pepper > 0:
            drawn = _uniform(clean)
            parts.append(drawn < self.salt_and_pepper)
            # Below half the fraction is half of those below it: one draw chooses the component and
            # tosses the coin.
            corrupted = torch.where(
                parts[-1], (drawn < self.salt_and_pepper / 2).to(clean.dtype), corrupted
            )
        if self.masking > 0:
            parts.append(_uniform(clean) < self.masking)
            corrupted = corrupted * ~parts[-1]  # on a CPU quicker than masked_fill
        if self.blocks > 0:
            parts.append(self._blocks(clean))
            corrupted = corrupted * ~parts[-1]
        return corrupted, self._union(clean, parts)

    def _union(self, clean: Tensor, parts: list[Tensor]) -> Tensor:
        if self.gaussian > 0 or not parts:
            return torch.full_like(clean, self.gaussian > 0, dtype=torch.bool)
        return reduce(torch.logical_or, parts)

    def _blocks(self, clean: Tensor) -> Tensor:
        if clean.ndim != 4:
            raise SslcliError(
                "corruption.blocks hides squares of pictures, but here vectors of "
                f"{clean.shape[1:].numel()} are corrupted",
                "corruption.blocks=0; corruption.masking hides components of anything",
            )
        num, _, height, width = clean.shape
        assert height == width, f"pictures are square, these are {height} x {width}"
        hidden = own_rows(
            lambda all_of_them: squares(all_of_them, height, self.blocks, clean.device), num
        )
        return hidden.expand_as(clean)


def _uniform(like: Tensor) -> Tensor:
    """Draws in float32: half precision has too few steps for a fraction to be kept."""
    return own_rows(lambda num: torch.rand_like(_of_all(like, num), dtype=torch.float32), len(like))


def _of_all(rows: Tensor, num: int) -> Tensor:
    """Returns `num` rows with the shape and layout of `rows`, those of all processes."""
    return rows if num == len(rows) else torch.cat([rows] * (num // len(rows)))
