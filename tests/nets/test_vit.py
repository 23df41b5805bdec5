"""The vision transformer: equal to timm's, kept and replaced patches, other sizes, attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sslcli.errors import SslcliError
from sslcli.nets.patches import PatchDecoder, to_patches, to_pictures
from sslcli.nets.vit import FEW, Attention, VisionTransformer, sine_positions
from sslcli.nets.vit_config import Pool, Size, ViTConfig


def small(pool: Pool = Pool.cls) -> VisionTransformer:
    torch.manual_seed(0)
    built = ViTConfig(width=24, depth=2, heads=3, pool=pool).build(3, 16)
    assert isinstance(built, VisionTransformer)
    return built.eval()


@pytest.mark.parametrize("side", [16, 8, 24])
@pytest.mark.parametrize(("pool", "pooled"), [(Pool.cls, "token"), (Pool.mean, "avg")])
def test_equals_timms_of_the_same_weights(pool: Pool, pooled: str, side: int) -> None:
    timm: Any = pytest.importorskip("timm.models.vision_transformer")
    ours = small(pool)
    torch.nn.init.normal_(ours.pos_embed)
    theirs = timm.VisionTransformer(
        img_size=16, patch_size=4, num_classes=0, embed_dim=24, depth=2, num_heads=3,
        global_pool=pooled, fc_norm=False, dynamic_img_size=True,
    ).eval()  # fmt: skip
    theirs.load_state_dict(ours.state_dict())
    pictures = torch.randn(5, 3, side, side)
    torch.testing.assert_close(ours(pictures), theirs(pictures), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("cells", [1, 2, 4])
def test_features_by_place_are_means_over_cells_of_patches(cells: int) -> None:
    torch.manual_seed(0)
    vit = ViTConfig(width=24, depth=1, heads=3, pool=Pool.grid, grid=cells).build(3, 32).eval()
    assert isinstance(vit, VisionTransformer)
    pictures = torch.randn(2, 3, 32, 32)
    found = vit(pictures)
    assert found.shape == (2, vit.width)
    tokens = vit.tokens(pictures)[:, 1:].unflatten(1, (cells, 8 // cells, cells, 8 // cells))  # type: ignore[no-untyped-call]
    expected = tokens.mean(dim=(2, 4)).permute(0, 3, 1, 2).flatten(1)
    torch.testing.assert_close(found, expected)


def test_a_grid_that_would_not_be_used_is_refused() -> None:
    with pytest.raises(
        SslcliError, match=r"encoder.grid must be left out without encoder.pool=grid"
    ):
        ViTConfig(grid=7)


@pytest.mark.large
@pytest.mark.parametrize(
    ("size", "timms"),
    [
        (Size.tiny, "vit_tiny_patch16_224"),
        (Size.small, "vit_small_patch16_224"),
        (Size.base, "vit_base_patch16_224"),
    ],
)
def test_sizes_have_the_shapes_of_timms(size: Size, timms: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        ours = ViTConfig(size=size, patch=16)
        width, depth, heads = ours.shape
        theirs = timm.create_model(timms, num_classes=0)
    assert (theirs.embed_dim, len(theirs.blocks)) == (width, depth)
    assert theirs.blocks[0].attn.num_heads == heads


def test_kept_patches_are_all_that_is_seen() -> None:
    vit = small()
    pictures = torch.randn(2, 3, 16, 16)
    kept = torch.tensor([[3, 0, 7], [15, 2, 1]])
    seen = torch.zeros(2, 16).scatter(1, kept, 1.0)
    by_pixel = to_pictures(seen.unsqueeze(2).expand(-1, -1, 16), 4, 1)
    tokens = vit.tokens(pictures, kept)
    assert tokens.shape == (2, 4, 24)
    torch.testing.assert_close(vit.tokens(pictures * by_pixel, kept), tokens)
    order = torch.tensor([[1, 0, 2], [2, 1, 0]])
    shuffled = vit.tokens(pictures, kept.gather(1, order))
    torch.testing.assert_close(shuffled[:, 0], tokens[:, 0], atol=1e-5, rtol=1e-5)
    everything = torch.arange(16).expand(2, -1)
    torch.testing.assert_close(vit.tokens(pictures, everything), vit.tokens(pictures))


def test_replaced_patches_are_not_seen() -> None:
    vit = small()
    pictures = torch.randn(1, 3, 16, 16)
    hidden = torch.zeros(1, 16, dtype=torch.bool)
    hidden[0, 5] = True
    changed = pictures.clone()
    changed[:, :, 4:8, 4:8] = 9.0
    vector = torch.randn(24)
    first, second = (vit.tokens(p, replaced=(hidden, vector)) for p in (pictures, changed))
    torch.testing.assert_close(first, second)
    assert not torch.allclose(vit.tokens(pictures), vit.tokens(changed))


def test_attention_is_where_the_class_token_looks() -> None:
    vit = small()
    found = vit.attention(torch.randn(2, 3, 16, 16))
    assert found.shape == (2, 3, 4, 4)
    assert (found >= 0).all()
    assert (found.sum((2, 3)) < 1).all(), "the rest is the class token's own"


@pytest.mark.parametrize("length", [FEW, FEW + 1])
def test_attention_in_bf16_differs_from_float32s_by_rounding_alone(length: int) -> None:
    torch.manual_seed(0)
    attention = Attention(32, 2)
    tokens = torch.randn(2, length, 32, requires_grad=True)
    exact = attention(tokens)
    (of_exact,) = torch.autograd.grad(exact.square().sum(), tokens)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention(tokens)
    (of_rounded,) = torch.autograd.grad(rounded.float().square().sum(), tokens)
    assert rounded.dtype is torch.bfloat16
    for ours, right in ((rounded, exact), (of_rounded, of_exact)):
        assert (ours - right).norm() < 0.02 * right.norm()


def test_pictures_that_are_not_whole_patches_are_refused() -> None:
    with pytest.raises(SslcliError, match="10x10 px are not whole patches of 4 px"):
        small()(torch.randn(1, 3, 10, 10))
    with pytest.raises(SslcliError, match=r"encoder.patch must be a divisor of the pictures' 18"):
        ViTConfig().build(3, 18)
    with pytest.raises(SslcliError, match=r"encoder.width must be a multiple of the 3 heads"):
        ViTConfig(width=10)


def test_patches_are_rows_of_pictures_and_come_back() -> None:
    pictures = torch.arange(2 * 3 * 8 * 8).float().view(2, 3, 8, 8)
    patches = to_patches(pictures, 4)
    assert patches.shape == (2, 4, 48)
    torch.testing.assert_close(patches[1, 1].view(4, 4, 3).permute(2, 0, 1), pictures[1, :, :4, 4:])
    assert torch.equal(to_pictures(patches, 4, 3), pictures)


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    positions = sine_positions(10, 3)
    assert positions.shape == (9, 10)
    assert not positions[:, 8:].any(), "what 4 does not divide"
    of_row_1, of_column_2 = positions[3:6, 4:8], positions[2::3, :4]
    assert torch.equal(of_row_1, of_row_1[:1].expand(3, -1))
    assert torch.equal(of_column_2, of_column_2[:1].expand(3, -1))
    rate = 10_000.0**-0.5
    expected = torch.tensor([2.0, 2 * rate]).sin()
    torch.testing.assert_close(of_column_2[0, :2], expected)


def test_the_decoder_puts_each_patch_in_its_place() -> None:
    """Patches that are kept in another order are decoded alike."""
    vit = small()
    decoder = PatchDecoder(vit, 32, 1, 48).eval()
    pictures = torch.randn(2, 3, 16, 16)
    kept = torch.tensor([[3, 0, 7], [15, 2, 1]])
    order = torch.tensor([[1, 0, 2], [2, 1, 0]])
    decoded = decoder(vit.tokens(pictures, kept), kept)
    again = kept.gather(1, order)
    assert decoded.shape == (2, 16, 48)
    torch.testing.assert_close(
        decoder(vit.tokens(pictures, again), again), decoded, atol=1e-5, rtol=1e-5
    )


def test_the_decoder_predicts_the_wanted_patches_as_it_does_all() -> None:
    vit = small()
    decoder = PatchDecoder(vit, 32, 2, 48).eval()
    kept, wanted = torch.tensor([[3, 0], [15, 2]]), torch.tensor([[9, 1, 4], [0, 14, 5]])
    tokens = vit.tokens(torch.randn(2, 3, 16, 16), kept)
    everything = decoder(tokens, kept)
    expected = torch.stack(
        [rows[numbers] for rows, numbers in zip(everything, wanted, strict=True)]
    )
    torch.testing.assert_close(decoder(tokens, kept, wanted), expected, atol=1e-5, rtol=1e-5)
