"""Turns pictures into patches, and predicts those that are hidden.

N images, L patches of P numbers, D width.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sslcli.errors import SslcliError
from sslcli.nets.encoder import Encoder
from sslcli.nets.vit import (
    Block,
    VisionTransformer,
    init_linear,
    require_whole_patches,
    sine_positions,
)


def require_patches(encoder: Encoder, method: str) -> VisionTransformer:
    """Returns the encoder, which must be made of patches: masked methods hide some.

    Raises SslcliError where it is not.
    """
    if not isinstance(encoder, VisionTransformer):
        kind = type(encoder).__name__
        raise SslcliError(
            f"method={method} needs an encoder of patches, and encoder chooses a {kind}",
            "choose encoder=vit, without encoder.bottleneck",
        )
    return encoder


def to_patches(pictures: Tensor, patch: int) -> Tensor:
    """Maps (N, C, H, W) to (N, L, P), row by row; in a patch row, column, channel.

    Raises SslcliError where patches do not cover the pictures.
    """
    require_whole_patches(pictures, patch)
    num, channels, height, width = pictures.shape
    grid = pictures.reshape(num, channels, height // patch, patch, width // patch, patch)
    return grid.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def to_pictures(patches: Tensor, patch: int, channels: int) -> Tensor:
    """(N, L, P) -> (N, C, S, S), the inverse of `to_patches` for square pictures."""
    num, length, _ = patches.shape
    side = round(length**0.5)
    grid = patches.reshape(num, side, side, patch, patch, channels)
    return grid.permute(0, 5, 1, 3, 2, 4).reshape(num, channels, side * patch, side * patch)


class PatchDecoder(nn.Module):
    """Predicts all patches of a picture from the tokens of some: MAE's decoder."""

    no_decay = ("mask_token",)
    positions: Tensor

    def __init__(self, encoder: VisionTransformer, width: int, depth: int, numbers: int) -> None:
        """`numbers`: P, of a patch."""
        super().__init__()
        token_width, side, _ = encoder.code_shape
        self.embed = nn.Linear(token_width, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        positions = torch.cat([torch.zeros(1, width), sine_positions(width, side)])
        self.register_buffer("positions", positions)
        self.blocks = nn.Sequential(*(Block(width, max(1, width // 32)) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.predict = nn.Linear(width, numbers)
        nn.init.normal_(self.mask_token, std=0.02)
        self.apply(init_linear)

    def forward(self, tokens: Tensor, kept: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Maps tokens (N, 1 + K, D) of the patches `kept` (N, K) to (N, L, P).

        Only to the patches `wanted` (N, R), by their numbers, where that is given: (N, R, P).
        """
        first, seen = self.embed(tokens).split([1, kept.shape[1]], dim=1)
        length, width = len(self.positions) - 1, self.mask_token.shape[0]
        everything = self.mask_token.to(seen.dtype).expand(len(seen), length, width)
        everything = everything.scatter(1, kept.unsqueeze(2).expand(-1, -1, width), seen)
        everything = torch.cat([first, everything], dim=1) + self.positions
        if wanted is None:
            return cast(Tensor, self.predict(self.norm(self.blocks(everything)))[:, 1:])
        last = self.blocks[-1](self.blocks[:-1](everything), wanted + 1)
        return cast(Tensor, self.predict(self.norm(last)))


class MaskedPixels(nn.Module):
    """Holds SimMIM's vector for hidden patches, and the layer that predicts them."""

    no_decay = ("mask_token",)

    def __init__(self, width: int, numbers: int) -> None:
        """`numbers`: P, of a patch."""
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.predict = nn.Linear(width, numbers)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps the patches' tokens (N, L, D) to patches (N, L, P)."""
        return cast(Tensor, self.predict(tokens))
