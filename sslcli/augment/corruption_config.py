"""Configures the damage done to a picture that is to be restored.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import augment
from sslcli.errors import require
from sslcli.settings import setting

if TYPE_CHECKING:
    from sslcli.augment.corruption import Corruption


@dataclass(kw_only=True)
class CorruptionConfig:
    """Configures noise on values in [0, 1]; its kinds combine in this order.

    0 switches a kind off.

    Source: Vincent et al. 2010, for the first three. Differs: a fraction is that of independent
    draws, one a component; the paper takes exactly so many components of every picture.
    """

    gaussian: float = setting(
        0.0, "standard deviation of Gaussian noise added to every component; not clipped"
    )
    salt_and_pepper: float = setting(
        0.0, "the fraction of components set to 0 or 1, by a fair coin"
    )
    masking: float = setting(
        0.0, "the fraction of components set to 0; the others are not rescaled"
    )
    blocks: float = setting(
        0.0, "about the fraction of a picture's area set to 0 in square blocks, in all channels"
    )

    def __post_init__(self) -> None:
        fix = "try 0.3; 0 switches it off"
        require(
            0 <= self.gaussian < float("inf"),
            "method.corruption.gaussian",
            self.gaussian,
            "at least 0",
            fix,
        )
        for name in ("salt_and_pepper", "masking", "blocks"):
            value = getattr(self, name)
            require(
                0 <= value < 1,
                f"method.corruption.{name}",
                value,
                "in [0, 1)",
                "try 0.25; 0 switches it off",
            )

    @property
    def any(self) -> bool:
        """Tells whether any kind is on."""
        return self.gaussian > 0 or self.salt_and_pepper > 0 or self.hides

    @property
    def hides(self) -> bool:
        """Tells whether components are blanked."""
        return self.masking > 0 or self.blocks > 0

    def build(self) -> Corruption:
        return augment.Corruption(self.gaussian, self.salt_and_pepper, self.masking, self.blocks)
