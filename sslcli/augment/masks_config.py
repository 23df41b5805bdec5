"""Configures which part of a picture is hidden for inpainting.

Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sslcli.errors import require
from sslcli.settings import setting


class MaskKind(Enum):
    """Names the form of holes.

    `centre`: the square of half the side in the middle. `blocks`: several squares anywhere.
    `regions`: free forms.
    """

    centre = "centre"
    blocks = "blocks"
    regions = "regions"


@dataclass(kw_only=True)
class MaskConfig:
    """Configures holes in pictures, each picture its own.

    Source: Pathak et al. 2016.
    """

    kind: MaskKind = setting(MaskKind.regions, "the holes' form: centre, blocks or regions")
    share: float = setting(
        0.25,
        "blocks, regions: the largest part of a picture that is hidden; centre hides a quarter",
    )

    def __post_init__(self) -> None:
        share, fix = self.share, "try 0.25, the paper's"
        require(0 < share <= 0.5, "method.masks.share", share, "in (0, 0.5]", fix)
