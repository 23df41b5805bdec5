"""Vision transformers, with timm's architecture and keys.

N images, L patches, D width. Tokens are (N, 1 + L, D): the class token first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from sslcli.errors import SslcliError
from sslcli.nets.encoder import Encoder

FEW = 256


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rows: Tensor | None = None) -> Tensor:
        """Returns what each token gets from all, or each of those in `rows` (N, R) alone."""
        queries, keys, values = self._heads(tokens)
        if rows is not None:
            shape = (-1, self.heads, -1, queries.shape[3])
            queries = queries.gather(2, rows[:, None, :, None].expand(shape))
        mixed = _mixed(queries, keys, values)
        return cast(Tensor, self.proj(mixed.transpose(1, 2).flatten(2)))

    def weights(self, tokens: Tensor) -> Tensor:
        """Returns each token's attention to each: (N, heads, 1 + L, 1 + L)."""
        queries, keys, _ = self._heads(tokens)
        return (queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])).softmax(dim=3)

    def _heads(self, tokens: Tensor) -> Sequence[Tensor]:
        """Returns queries, keys and values, each (N, heads, 1 + L, D / heads)."""
        num, length, width = tokens.shape
        split = self.qkv(tokens).view(num, length, 3, self.heads, width // self.heads)
        return cast(Sequence[Tensor], split.permute(2, 0, 3, 1, 4).unbind(0))


def _mixed(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Returns the values as attention mixes them; on a CPU in bf16 not by torch's kernel.

    The backward pass of that takes four to eight times as long as float32's, which takes twice as
    long as plain products and a softmax (on an AMD EPYC). These hold all weights, so only of FEW
    tokens.
    """
    mixed: Tensor
    dtype = queries.dtype
    if dtype is not torch.bfloat16 or queries.device.type != "cpu":
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return mixed
    if keys.shape[2] <= FEW:
        scores = (queries / math.sqrt(queries.shape[3])) @ keys.transpose(2, 3)
        return scores.softmax(dim=3) @ values
    with torch.autocast("cpu", enabled=False):
        mixed = F.scaled_dot_product_attention(queries.float(), keys.float(), values.float())
    return mixed.to(dtype)


class MLP(nn.Module):
    """Two linear layers with a GELU between them, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.fc2(F.gelu(self.fc1(tokens))))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width)

    def forward(self, tokens: Tensor, rows: Tensor | None = None) -> Tensor:
        """Maps (N, 1 + L, D) to the same, or to those tokens alone that `rows` (N, R) names."""
        mixed = self.attn(self.norm1(tokens), rows)
        if rows is not None:
            tokens = tokens.gather(1, rows.unsqueeze(2).expand(-1, -1, tokens.shape[2]))
        tokens = tokens + mixed
        return tokens + cast(Tensor, self.mlp(self.norm2(tokens)))


class PatchEmbedding(nn.Module):
    """(N, C, H, W) -> (N, L, D), row by row of patches."""

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)

    def forward(self, pictures: Tensor) -> Tensor:
        return cast(Tensor, self.proj(pictures)).flatten(2).transpose(1, 2)


class VisionTransformer(Encoder):
    """A ViT whose features are the class token, or means of the patches' tokens.

    Pictures of another size than the encoder's own, which small crops are, get position embeddings
    between its own ones. Source: Dosovitskiy et al. 2021; MAE and SimMIM take `tokens`. Equal to
    timm's VisionTransformer of the same weights, with global_pool "token", or "avg" and
    fc_norm=False. Differs: position embeddings begin as sines and cosines of two dimensions (as
    those of MAE, which stay so), where timm draws them.
    """

    no_decay = ("cls_token", "pos_embed")

    def __init__(
        self,
        channels: int,
        resolution: int,
        patch: int,
        shape: tuple[int, int, int],
        grid: int | None,
    ) -> None:
        """`shape`: width, number of blocks, heads of each.

        `grid`: features are the patches' means over so many cells a side; None: the class token.
        """
        super().__init__()
        width, depth, heads = shape
        side = resolution // patch
        self.width, self.patch, self.grid = width * (grid or 1) ** 2, patch, grid
        self.code_shape = (width, side, side)
        self.patch_embed = PatchEmbedding(channels, patch, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        positions = torch.cat([torch.zeros(1, width), sine_positions(width, side)])
        self.pos_embed = nn.Parameter(positions.unsqueeze(0))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        nn.init.normal_(self.cls_token, std=0.02)
        self.blocks.apply(init_linear)

    def forward(self, pictures: Tensor) -> Tensor:
        if self.grid is not None and self.grid > 1:
            return F.adaptive_avg_pool2d(self.code(pictures), self.grid).flatten(1)
        tokens = self.tokens(pictures)
        return tokens[:, 0] if self.grid is None else tokens[:, 1:].mean(dim=1)

    def code(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, h, w): the patches' tokens, each where its patch is."""
        side = pictures.shape[2] // self.patch
        return self.tokens(pictures)[:, 1:].transpose(1, 2).unflatten(2, (side, side))  # type: ignore[no-any-return, no-untyped-call]

    def tokens(
        self,
        pictures: Tensor,
        kept: Tensor | None = None,
        replaced: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Returns the tokens (N, 1 + L, D) after the last norm, or those kept.

        `kept` (N, K): the numbers of the patches that are seen at all; the others are dropped
        before the first block. `replaced`: which patches (N, L) are not seen, and the vector (D,)
        that stands in their place.
        """
        return cast(Tensor, self.norm(self.blocks(self._embedded(pictures, kept, replaced))))

    def attention(self, pictures: Tensor) -> Tensor:
        """Returns the class token's attention in the last block: (N, heads, h, w)."""
        last = cast(Block, self.blocks[-1])
        inputs = self.blocks[:-1](self._embedded(pictures))
        of_class = last.attn.weights(last.norm1(inputs))[:, :, 0, 1:]
        side = pictures.shape[2] // self.patch
        return of_class.unflatten(2, (side, side))  # type: ignore[no-any-return, no-untyped-call]

    def _embedded(
        self,
        pictures: Tensor,
        kept: Tensor | None = None,
        replaced: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Returns the tokens before the first block; see `tokens`."""
        patches = self.patch_embed(pictures)
        if replaced is not None:
            hidden, vector = replaced
            patches = torch.where(hidden.unsqueeze(2), vector.to(patches), patches)
        positions = self._positions(pictures)
        patches = patches + positions[:, 1:]
        if kept is not None:
            patches = patches.gather(1, kept.unsqueeze(2).expand(-1, -1, patches.shape[2]))
        # Not len(), which torch.export would take for a constant.
        first = (self.cls_token + positions[:, :1]).expand(patches.shape[0], -1, -1)
        return torch.cat([first, patches], dim=1)

    def _positions(self, pictures: Tensor) -> Tensor:
        """Returns the position embeddings (1, 1 + L, D) of pictures of this size."""
        require_whole_patches(pictures, self.patch)
        size = (pictures.shape[2] // self.patch, pictures.shape[3] // self.patch)
        if size == self.code_shape[1:]:
            return self.pos_embed
        own, others = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = others.transpose(1, 2).reshape(1, *self.code_shape)
        resized = F.interpolate(grid, size, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([own, resized.flatten(2).transpose(1, 2)], dim=1)


def require_whole_patches(pictures: Tensor, patch: int) -> None:
    """Raises SslcliError where patches do not cover pictures (N, C, H, W)."""
    if pictures.shape[2] % patch or pictures.shape[3] % patch:
        given = "x".join(map(str, pictures.shape[2:]))
        raise SslcliError(
            f"pictures of {given} px are not whole patches of {patch} px",
            "choose a size that encoder.patch divides: data.resolution, or a view's crop_size",
        )


def sine_positions(width: int, side: int) -> Tensor:
    """Returns embeddings (side², width) of a square grid's positions, row by row.

    A quarter of the numbers each are sines and cosines of the row and of the column; what is left
    over of a width that 4 does not divide is 0. Source: He et al. 2022 (MAE), after Vaswani et al.
    2017.
    """
    quarter = width // 4
    rates = 10_000.0 ** -(torch.arange(quarter) / max(quarter, 1))
    angles = torch.arange(side)[:, None] * rates
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows = line[:, None].expand(side, side, -1)
    columns = line[None].expand(side, side, -1)
    grid = torch.cat([columns, rows], dim=2).flatten(0, 1)
    return F.pad(grid, (0, width - grid.shape[1]))


def init_linear(module: nn.Module) -> None:
    """Initialises a transformer's linear layers as timm does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
