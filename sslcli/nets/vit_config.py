"""Configures vision transformers.

Does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from sslcli import nets
from sslcli.errors import require
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.settings import setting

if TYPE_CHECKING:
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.public_weights import PublicWeights


class Size(Enum):
    """Names a ViT's width, number of blocks and heads, as DeiT's models have them."""

    tiny = "tiny"
    small = "small"
    base = "base"


SHAPES = {Size.tiny: (192, 12, 3), Size.small: (384, 12, 6), Size.base: (768, 12, 12)}


class Pool(Enum):
    """Names a ViT's features: the class token, the mean of the patches', or means by place."""

    cls = "cls"
    mean = "mean"
    grid = "grid"


@dataclass(kw_only=True)
class ViTConfig(EncoderConfig):
    """A vision transformer with timm's architecture and keys."""

    size: Size = setting(Size.tiny, "tiny: width 192; small: 384; base: 768; each of 12 blocks")
    patch: int = setting(4, "side of a patch in pixels, which divides the pictures' side")
    pool: Pool = setting(
        Pool.mean,
        "the features: cls, the class token; mean of the patches'; grid, their means by place",
    )
    grid: int = setting(
        4,
        "with encoder.pool=grid, features are means over the cells of a grid with so many cells a "
        "side, so that they know places",
        added_later=True,
    )
    width: int | None = setting(None, "another width than the size's, a multiple of the heads")
    depth: int | None = setting(None, "another number of blocks than the size's")
    heads: int | None = setting(None, "another number of heads than the size's")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.grid <= 16, "encoder.grid", self.grid, "from 1 to 16", "try 4")
        good, must_be = (
            self.grid == 4 or self.pool is Pool.grid,
            "left out without encoder.pool=grid",
        )
        require(good, "encoder.grid", self.grid, must_be, "add encoder.pool=grid")
        for name in ("patch", "width", "depth", "heads"):
            value = getattr(self, name)
            good = value is None or value > 0
            require(good, f"encoder.{name}", value, "positive", "leave it out")
        width, _, heads = self.shape
        must_be = f"a multiple of the {heads} heads"
        require(width % heads == 0, "encoder.width", width, must_be, "try 192, with 3 heads")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The width, the number of blocks and the heads."""
        width, depth, heads = SHAPES[self.size]
        return self.width or width, self.depth or depth, self.heads or heads

    @property
    def timm_model(self) -> str:
        """timm's name of the size."""
        return f"vit_{self.size.name}_patch16_224"

    def timm_arguments(self, channels: int, resolution: int) -> dict[str, Any]:
        """Returns what timm.create_model is given to build the same network."""
        width, depth, heads = self.shape
        pooled = self.pool is Pool.mean
        return {
            "num_classes": 0,
            "in_chans": channels,
            "img_size": resolution,
            "patch_size": self.patch,
            "embed_dim": width,
            "depth": depth,
            "num_heads": heads,
            **({"global_pool": "avg", "fc_norm": False} if pooled else {}),
        }

    def network(self, channels: int, resolution: int) -> Encoder:
        require(
            resolution % self.patch == 0,
            "encoder.patch",
            self.patch,
            f"a divisor of the pictures' {resolution} px",
            "or choose another data.resolution",
        )
        cells = {Pool.cls: None, Pool.mean: 1, Pool.grid: self.grid}[self.pool]
        return nets.VisionTransformer(channels, resolution, self.patch, self.shape, cells)

    def public_weights(self) -> PublicWeights:
        return nets.timm_weights(self.timm_model)
