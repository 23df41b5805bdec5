"""The context encoder's networks. Counts are the published network's, from its released code: without the biases that it
sets to zero at every step (ours has one where no batch norm follows)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sslcli.errors import SslcliError
from sslcli.nets.context import (
    ChannelwiseBottleneck,
    ChannelwiseFullyConnected,
    ContextNet,
    FullyConnectedBottleneck,
    PatchDiscriminator,
)


def size(*networks: nn.Module) -> int:
    """Parameters, the biases of convolutions apart."""
    total = 0
    for module in (module for network in networks for module in network.modules()):
        convolution = isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        own = module.named_parameters(recurse=False)
        total += sum(
            parameter.numel() for name, parameter in own if not (convolution and name == "bias")
        )
    return total


def maps_after_each(
    kind: type[nn.Module], network: nn.Module, inputs: Tensor
) -> list[tuple[int, ...]]:
    """(channels, side) of what every module of a kind gives."""
    seen: list[tuple[int, ...]] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(
                lambda module, given, maps: seen.append(tuple(maps.shape[1:3]))
            )
    with torch.no_grad():
        network.eval()(inputs)
    return seen


@pytest.mark.parametrize(
    ("resolution", "maps"),
    [
        (16, [(4, 8), (8, 4)]),
        (28, [(4, 14), (8, 7), (16, 4)]),
        (33, [(4, 17), (8, 9), (16, 5), (32, 3)]),
        (64, [(4, 32), (8, 16), (16, 8), (32, 4)]),
        (128, [(4, 64), (4, 32), (8, 16), (16, 8), (32, 4)]),  # the paper's, with 64 for 4
        (256, [(4, 128), (4, 64), (4, 32), (8, 16), (16, 8), (32, 4)]),
    ],
)
def test_encoder_and_decoder_go_through_the_same_maps(
    resolution: int, maps: list[tuple[int, int]]
) -> None:
    encoder, pictures = ContextNet(3, resolution, 4), torch.rand(1, 3, resolution, resolution)
    assert maps_after_each(nn.Conv2d, encoder, pictures) == maps
    width, side = maps[-1]
    assert encoder.code_shape == (width, side, side)
    assert encoder.width == width
    decoder = encoder.decoder(3, resolution, tied=False)
    back = maps_after_each(nn.ConvTranspose2d, decoder, encoder.code(pictures))
    assert back == [*maps[-2::-1], (3, resolution)]


def test_parameters_are_as_many_as_the_published() -> None:
    """71,124,544 for 128 px in and the middle's 64 px out, through 4000 units. Ours gives the whole picture, as the released
    model for random regions: by one more transposed convolution, 64 to 64 channels with batch norm."""
    with torch.device("meta"):
        encoder = ContextNet(3, 128, 64)
        bottleneck = FullyConnectedBottleneck(encoder.code_shape, 4000)
        decoder = encoder.decoder(3, 128, tied=False)
    assert size(encoder, bottleneck, decoder) == 71_124_544 + 64 * 64 * 4 * 4 + 2 * 64


def test_discriminators_parameters_are_as_many_as_the_published() -> None:
    with torch.device("meta"):
        assert size(PatchDiscriminator(3, 64, 64)) == 2_765_568


def test_only_what_no_norm_follows_has_a_bias_and_the_ends_no_norm() -> None:
    encoder = ContextNet(1, 28, 4)
    decoder, discriminator = encoder.decoder(1, 28, tied=False), PatchDiscriminator(1, 28, 4)

    def biases(network: nn.Module) -> list[bool]:
        return [
            m.bias is not None
            for m in network.modules()
            if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]

    def kinds(network: nn.Module) -> list[str]:
        return [
            type(module).__name__ for module in network.modules() if not list(module.children())
        ]

    assert biases(encoder) == [True, False, False]
    assert biases(decoder) == [False, False, True]
    assert biases(discriminator) == [True, False, False, True]
    assert kinds(encoder) == ["Conv2d", "LeakyReLU", *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 2]
    assert kinds(decoder) == [*["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 2, "ConvTranspose2d"]
    assert kinds(discriminator) == [*kinds(encoder), "Conv2d"]
    assert {
        module.negative_slope for module in encoder.modules() if isinstance(module, nn.LeakyReLU)
    } == {0.2}


def test_weights_are_drawn_as_published() -> None:
    torch.manual_seed(0)
    encoder = ContextNet(3, 64, 32)
    bottleneck = FullyConnectedBottleneck((64, 4, 4), 100)
    for network in (
        encoder,
        encoder.decoder(3, 64, tied=False),
        PatchDiscriminator(3, 64, 32),
        bottleneck,
    ):
        for module in network.modules():
            weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
            if weight is not None and weight.numel() > 50:
                centre = 1.0 if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) else 0.0
                assert weight.mean().item() == pytest.approx(centre, abs=0.01)
                assert weight.std().item() == pytest.approx(0.02, rel=0.3)
            assert bias is None or not bias.any()


def test_weights_cannot_be_tied() -> None:
    with pytest.raises(SslcliError) as caught:
        ContextNet(1, 28, 4).decoder(1, 28, tied=True)
    assert "method.tied" in caught.value.message


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [14, 17, 28, 32, 64, 128, 256])
def test_a_discriminator_gives_one_logit_a_patch(side: int, channels: int) -> None:
    discriminator = PatchDiscriminator(channels, side, 2)
    logits = discriminator(torch.randn(3, channels, side, side))
    assert logits.shape == (3,)
    last = [module for module in discriminator.modules() if isinstance(module, nn.Conv2d)][-1]
    assert last.kernel_size[0] in (3, 4)


def test_a_discriminator_learns_to_tell_patches_apart_and_is_not_bounded() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(1, 14, 4)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.002)
    smooth, rough = torch.rand(16, 1, 1, 1).expand(-1, -1, 14, 14), torch.rand(16, 1, 14, 14)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.softplus(-discriminator(smooth)) + nn.functional.softplus(
            discriminator(rough)
        )
        torch.autograd.backward(loss.mean())
        optimizer.step()
    assert discriminator(smooth).min() > 0 > discriminator(rough).max()
    assert discriminator(smooth).max() > 1


def test_channelwise_layer_is_a_matrix_for_every_channel() -> None:
    """Against the sum written out, Pathak et al. 2016, §3.1."""
    torch.manual_seed(0)
    layer, maps = (
        ChannelwiseFullyConnected(3, 2).double(),
        torch.rand(2, 3, 2, 2, dtype=torch.float64),
    )
    nn.init.normal_(layer.bias)
    mixed = layer(maps)
    for n in range(2):
        for c in range(3):
            for j in range(4):
                expected = layer.bias[c, 0, j]
                for i in range(4):
                    expected = expected + maps[n, c, i // 2, i % 2] * layer.weight[c, i, j]
                torch.testing.assert_close(mixed[n, c, j // 2, j % 2], expected)


def test_channelwise_layers_parameters_are_as_many_as_the_papers() -> None:
    layer = ChannelwiseFullyConnected(256, 6)
    assert layer.weight.numel() == 331_776
    assert layer.bias.numel() == 256 * 36


def test_channelwise_layer_keeps_the_size_of_what_passes_its_relu() -> None:
    torch.manual_seed(0)
    maps = torch.randn(64, 8, 4, 4).relu()
    through = ChannelwiseFullyConnected(8, 4)(maps).relu()
    assert through.square().mean().item() == pytest.approx(maps.square().mean().item(), rel=0.3)


@pytest.mark.parametrize(
    ("bottleneck", "mixes"),
    [(ChannelwiseFullyConnected(5, 3), False), (ChannelwiseBottleneck(5, 3), True),
     (FullyConnectedBottleneck((5, 3, 3), 40), True)],
    ids=["channelwise layer", "channelwise", "fully connected"],
)  # fmt: skip
def test_a_place_reaches_every_place_and_where_wanted_every_channel(
    bottleneck: nn.Module, mixes: bool
) -> None:
    torch.manual_seed(0)
    for module in bottleneck.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(
                module.bias, 9.0
            )  # so that the ReLU behind it lets everything through
    maps = torch.randn(16, 5, 3, 3, requires_grad=True)
    out = bottleneck.eval()(maps)
    assert out.shape == maps.shape
    (gradient,) = torch.autograd.grad(
        out[:, 2, 0, 0].sum(), maps
    )  # over pictures: in one a ReLU may be shut
    reached = gradient.abs().sum(0) > 0
    assert reached[2].all()
    assert reached[[0, 1, 3, 4]].any(dim=2).any(dim=1).all() == mixes


@pytest.mark.parametrize(
    "bottleneck", [ChannelwiseBottleneck(4, 3), FullyConnectedBottleneck((4, 3, 3), 7)]
)
def test_bottlenecks_take_either_memory_layout(bottleneck: nn.Module) -> None:
    maps = torch.rand(2, 4, 3, 3)
    torch.testing.assert_close(
        bottleneck.eval()(maps.contiguous(memory_format=torch.channels_last)),
        bottleneck(maps),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_whole_network_fills_pictures_with_gradients_everywhere() -> None:
    torch.manual_seed(0)
    encoder = ContextNet(1, 28, 4)
    network = nn.Sequential(
        encoder.stages,
        ChannelwiseBottleneck(16, 4),
        FullyConnectedBottleneck((16, 4, 4), 20),
        encoder.decoder(1, 28, False),
    )
    filled = network(torch.rand(8, 1, 28, 28)).tanh()
    assert filled.shape == (8, 1, 28, 28)
    filled.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
