"""Exports the augmentations that configs build.

Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.augment.augmentation import Augmentation as Augmentation
    from sslcli.augment.blur import RandomBlur as RandomBlur
    from sslcli.augment.colour import ColourJitter as ColourJitter
    from sslcli.augment.corruption import Corruption as Corruption
    from sslcli.augment.crop import RandomCrop as RandomCrop
    from sslcli.augment.masks import Masks as Masks
    from sslcli.augment.multi_crop import MultiCrop as MultiCrop
    from sslcli.augment.spoils import AutoContrast as AutoContrast
    from sslcli.augment.spoils import ChannelDrop as ChannelDrop
    from sslcli.augment.spoils import Erasing as Erasing
    from sslcli.augment.spoils import Noise as Noise
    from sslcli.augment.turns import QuarterTurns as QuarterTurns
    from sslcli.augment.turns import VerticalFlip as VerticalFlip
    from sslcli.augment.turns import Warp as Warp

HOME = {
    "Augmentation": "augmentation",
    "AutoContrast": "spoils",
    "ChannelDrop": "spoils",
    "ColourJitter": "colour",
    "Corruption": "corruption",
    "Erasing": "spoils",
    "Masks": "masks",
    "MultiCrop": "multi_crop",
    "Noise": "spoils",
    "QuarterTurns": "turns",
    "RandomBlur": "blur",
    "RandomCrop": "crop",
    "VerticalFlip": "turns",
    "Warp": "turns",
}

__getattr__ = exports(__name__, HOME)
