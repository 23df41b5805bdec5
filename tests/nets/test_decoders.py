"""The decoder of any encoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslcli.nets.decoders import UpsamplingDecoder, halved_sides


def convolutions(decoder: nn.Module) -> list[nn.Conv2d]:
    return [module for module in decoder.modules() if isinstance(module, nn.Conv2d)]


def sides(decoder: UpsamplingDecoder, *code_shape: int) -> list[int]:
    """Of the maps that every convolution gives."""
    seen: list[int] = []
    for convolution in convolutions(decoder):
        convolution.register_forward_hook(lambda module, given, maps: seen.append(maps.shape[-1]))
    decoder.eval()(torch.rand(1, *code_shape))
    return seen


@pytest.mark.parametrize(
    ("side", "last", "ladder"),
    [
        (28, 4, [28, 14, 7, 4]),
        (33, 1, [33, 17, 9, 5, 3, 2, 1]),
        (64, 4, [64, 32, 16, 8, 4]),
        (4, 4, [4]),
        (3, 7, [3]),
    ],
)
def test_halves_are_rounded_up(side: int, last: int, ladder: list[int]) -> None:
    assert halved_sides(side, last) == ladder


@pytest.mark.parametrize(
    ("code_side", "resolution", "expected"),
    [
        (4, 28, [7, 14, 28, 28]),
        (5, 33, [9, 17, 33, 33]),
        (1, 16, [2, 4, 8, 16, 16]),
        (6, 28, [14, 28, 28]),  # on no rung: as from the nearest, 7
        (5, 28, [7, 14, 28, 28]),  # as from 4
        (28, 28, [28, 28]),
        (26, 28, [28, 28]),
    ],
)
def test_sides_are_those_the_picture_was_halved_through(
    code_side: int, resolution: int, expected: list[int]
) -> None:
    shape = (24, code_side, code_side)
    assert sides(UpsamplingDecoder(shape, 3, resolution), *shape) == expected


@pytest.mark.parametrize(
    ("resolution", "first"), [(28, 14), (32, 8), (64, 8), (33, 9), (16, 8), (6, 6)]
)
def test_a_vector_becomes_maps_of_four_to_seven_pixels(resolution: int, first: int) -> None:
    decoder = UpsamplingDecoder((10,), 3, resolution)
    assert sides(decoder, 10)[0] == first
    assert decoder(torch.rand(2, 10)).shape == (2, 3, resolution, resolution)


@pytest.mark.parametrize(
    ("code_width", "widths"),
    [(128, [64, 32, 16]), (40, [20, 16, 16]), (8, [16, 16, 16]), (2048, [256, 128, 64])],
)
def test_channels_halve_between_the_narrowest_and_the_widest(
    code_width: int, widths: list[int]
) -> None:
    decoder = UpsamplingDecoder((code_width, 4, 4), 3, 28)
    assert [convolution.out_channels for convolution in convolutions(decoder)] == [*widths, 3]


def test_a_vectors_maps_are_as_wide_as_their_halvings_end_at_the_narrowest() -> None:
    assert [c.in_channels for c in convolutions(UpsamplingDecoder((10,), 1, 28))] == [64, 32, 16]
    assert [c.in_channels for c in convolutions(UpsamplingDecoder((10,), 1, 256))] == [
        256,
        128,
        64,
        32,
        16,
        16,
        16,
    ]


@pytest.mark.parametrize("code_shape", [(12,), (12, 2, 2)])
def test_pictures_can_be_learned_from_codes(code_shape: tuple[int, ...]) -> None:
    """Unbounded, and every code has its own picture."""
    torch.manual_seed(0)
    decoder = UpsamplingDecoder(code_shape, 1, 8)
    codes, pictures = torch.randn(6, *code_shape), 3 * torch.randn(6, 1, 8, 8)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        error = (decoder(codes) - pictures).square().mean()
        error.backward()
        optimizer.step()
    assert error.item() < 0.2 * pictures.square().mean().item()


def test_batches_laid_out_channels_last_give_the_same() -> None:
    torch.manual_seed(0)
    decoder, codes = UpsamplingDecoder((8, 4, 4), 1, 14).eval(), torch.rand(2, 8, 4, 4)
    expected = decoder(codes)
    decoder.to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        decoder(codes.contiguous(memory_format=torch.channels_last)), expected
    )
