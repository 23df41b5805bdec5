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

HOME = {
    "Augmentation": "augmentation",
    "ColourJitter": "colour",
    "Corruption": "corruption",
    "Masks": "masks",
    "MultiCrop": "multi_crop",
    "RandomBlur": "blur",
    "RandomCrop": "crop",
}

__getattr__ = exports(__name__, HOME)
