"""Views of two sizes: two large ones, and small crops."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sslcli.augment.augmentation import Augmentation
from sslcli.preprocessing import Squeezed


@dataclass(frozen=True)
class MultiCrop:
    """Makes two large views of each picture, and `num_small` small ones.

    Source: Caron et al. 2020 (SwAV).
    """

    large: Augmentation
    small: Augmentation
    num_small: int

    @property
    def num_views(self) -> int:
        return 2 + self.num_small

    def __call__(self, images: Tensor | Squeezed) -> Tensor | list[Tensor]:
        """Maps (N, S, S, C) uint8 to views by size, the large ones first."""
        large = self.large(images, num_views=2)
        return [large, self.small(images, num_views=self.num_small)] if self.num_small else large
