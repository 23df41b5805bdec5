"""A large batch in chunks: the same features and gradients as at once, and batch norm's statistics once a chunk."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sslcli.nets.chunked import in_chunks
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import (
    ConvNetConfig,
    EncoderConfig,
    MLPConfig,
    Norm,
    ResNet18Config,
)
from sslcli.nets.encoders import ENCODERS


def encoder_of(config: EncoderConfig) -> Encoder:
    torch.manual_seed(0)
    return config.build(1, 16)


def gradients(encoder: nn.Module, pictures: Tensor, chunk_size: int | None) -> list[Tensor]:
    h = in_chunks(encoder, pictures, chunk_size)
    loss = (h @ h.T).logsumexp(dim=1).mean()  # spans the batch
    return list(torch.autograd.grad(loss, list(encoder.parameters())))


@pytest.mark.parametrize(
    ("config", "chunk_size"),
    [
        *((ConvNetConfig(width=8, norm=Norm.group), size) for size in (2, 5, 12, 13, 40)),
        *((MLPConfig(widths=[20, 9], batch_norm=False), size) for size in (2, 5, 12, 13, 40)),
        pytest.param(
            ResNet18Config(norm=Norm.group, zero_init_residual=False), 5, marks=pytest.mark.large
        ),
    ],
)
def test_without_batch_statistics_gradients_are_those_of_the_whole_batch(
    config: EncoderConfig, chunk_size: int
) -> None:
    encoder, pictures = encoder_of(config), torch.randn(13, 1, 16, 16)
    whole, chunked = gradients(encoder, pictures, None), gradients(encoder, pictures, chunk_size)
    for expected, found in zip(whole, chunked, strict=True):
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_batch_norm_sees_each_chunk_once() -> None:
    by_chunks, by_hand = encoder_of(ConvNetConfig(width=4)), encoder_of(ConvNetConfig(width=4))
    pictures = torch.randn(12, 1, 16, 16)
    gradients(by_chunks, pictures, 4)
    for chunk in pictures.split(4):
        by_hand(chunk)
    for (name, found), expected in zip(by_chunks.named_buffers(), by_hand.buffers(), strict=True):
        assert torch.equal(found, expected), name


def test_a_network_in_eval_mode_is_the_same_in_chunks_with_batch_norm_too() -> None:
    encoder, pictures = encoder_of(ConvNetConfig(width=4)).eval(), torch.randn(9, 1, 16, 16)
    for expected, found in zip(
        gradients(encoder, pictures, None), gradients(encoder, pictures, 2), strict=True
    ):
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_no_chunk_has_a_single_picture() -> None:
    sizes: list[int] = []
    network = nn.Flatten()
    network.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    in_chunks(network, torch.randn(9, 1, 2, 2), 4)
    assert sizes == [3, 3, 3]


def test_dropout_is_the_same_in_the_second_pass() -> None:
    network, x = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5)), torch.randn(8, 6)
    torch.manual_seed(3)
    h = in_chunks(network, x, 4)
    h.sum().backward()
    bias = network[0].bias
    assert torch.equal(bias.grad, 2.0 * (h != 0).sum(dim=0))  # kept units pass 1 / (1 - 0.5)


@pytest.mark.parametrize("name", ["convnet", pytest.param("resnet18", marks=pytest.mark.large)])
def test_group_norm_leaves_no_batch_norm(name: str) -> None:
    config = ENCODERS[name](norm=Norm.group)  # type: ignore[call-arg]
    kinds = {type(module) for module in encoder_of(config).modules()}
    assert nn.GroupNorm in kinds
    assert nn.BatchNorm2d not in kinds


def test_views_of_several_sizes_come_one_after_the_other() -> None:
    encoder = encoder_of(ConvNetConfig(width=4, norm=Norm.group))
    large, small = torch.randn(6, 1, 16, 16), torch.randn(9, 1, 12, 12)
    together = torch.cat([encoder(large), encoder(small)])
    assert torch.equal(encoder.in_chunks([large, small], None), together)
    assert torch.allclose(encoder.in_chunks([large, small], 4), together, atol=1e-6)
