"""Layers and their mirrors, and the chains made of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sslcli.errors import SslcliError
from sslcli.nets.encoder import Bottleneck, Encoder
from sslcli.nets.encoder_config import Activation, ConvStackConfig, LayeredConfig, MLPConfig
from sslcli.nets.layered import LayeredEncoder
from sslcli.nets.layers import ConvLayer, DenseLayer, Layer

MAKERS: dict[str, Callable[[], Layer]] = {
    "dense": lambda: DenseLayer(6, 4, nn.Sigmoid, batch_norm=False),
    "even side": lambda: ConvLayer(3, 4, 8, nn.Sigmoid, batch_norm=False),
    "odd side": lambda: ConvLayer(3, 4, 7, nn.Sigmoid, batch_norm=False),
}
INPUTS = {"dense": (5, 6), "even side": (5, 3, 8, 8), "odd side": (5, 3, 7, 7)}
CHAINS: list[LayeredConfig] = [MLPConfig(widths=[8, 6, 5]), ConvStackConfig(widths=[4, 6, 5])]
each_layer = pytest.mark.parametrize("name", list(MAKERS))
each_chain = pytest.mark.parametrize("config", CHAINS, ids=lambda config: type(config).__name__)


def chain(config: LayeredConfig, channels: int, resolution: int) -> LayeredEncoder:
    encoder = config.build(channels, resolution)
    assert isinstance(encoder, LayeredEncoder)
    return encoder


def weight_of(layer: Layer) -> nn.Parameter:
    """The one weight of a layer without batch norm."""
    (weight,) = (
        parameter for name, parameter in layer.named_parameters() if name.endswith("weight")
    )
    return weight


@each_layer
@pytest.mark.parametrize("tied", [False, True])
def test_mirror_gives_back_the_inputs_shape(name: str, tied: bool) -> None:
    layer, inputs = MAKERS[name](), torch.rand(INPUTS[name])
    assert layer.mirror(tied)(layer(inputs)).shape == inputs.shape


@pytest.mark.parametrize("side", [1, 2, 5, 6, 14, 33])
def test_a_convolution_halves_the_side_rounding_up(side: int) -> None:
    assert ConvLayer(1, 2, side, nn.ReLU, batch_norm=True).eval()(
        torch.rand(1, 1, side, side)
    ).shape[2] == -(-side // 2)


@each_layer
def test_tied_mirror_is_the_transposed_map(name: str) -> None:
    """<W x, c> = <x, W' c>: what makes W' the transpose of W, whatever the layer."""
    layer = MAKERS[name]().double()
    mirror = layer.mirror(tied=True).double()
    inputs = torch.randn(INPUTS[name], dtype=torch.float64)
    codes = torch.randn_like(layer(inputs))
    affine = next(module for module in layer.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    torch.testing.assert_close(
        (affine(inputs) * codes).sum(), (inputs * mirror(codes)).sum()
    )  # both biases are 0


@each_layer
def test_tied_weights_are_the_layers_alone(name: str) -> None:
    layer = MAKERS[name]()
    mirror = layer.mirror(tied=True)
    assert list(mirror.state_dict()) == ["bias"]
    assert [parameter.shape for parameter in mirror.parameters()] == [(INPUTS[name][1],)]
    codes = layer(torch.rand(INPUTS[name])).detach()
    with torch.no_grad():
        weight_of(layer).zero_()
    assert not mirror(codes).any()


@each_layer
def test_untied_weights_are_the_mirrors_own(name: str) -> None:
    layer = MAKERS[name]()
    mirror, codes = layer.mirror(tied=False), layer(torch.rand(INPUTS[name])).detach()
    before = mirror(codes)
    with torch.no_grad():
        weight_of(layer).zero_()
    assert torch.equal(mirror(codes), before)


@each_layer
def test_gradients_reach_a_tied_weight_through_both_uses(name: str) -> None:
    torch.manual_seed(0)
    layer, inputs = MAKERS[name]().double(), torch.rand(INPUTS[name], dtype=torch.float64)
    mirror, weight = layer.mirror(tied=True).double(), weight_of(layer)
    codes = layer(inputs)
    (whole,) = torch.autograd.grad(mirror(codes).square().sum(), weight, retain_graph=True)
    (decoding,) = torch.autograd.grad(mirror(codes.detach()).square().sum(), weight)
    at_codes = codes.detach().requires_grad_()
    (upstream,) = torch.autograd.grad(mirror(at_codes).square().sum(), at_codes)
    (encoding,) = torch.autograd.grad(codes, weight, upstream)
    assert decoding.any()
    assert encoding.any()
    torch.testing.assert_close(whole, encoding + decoding)


def test_weights_follow_the_nonlinearity() -> None:
    """±4 sqrt(6 / (784 + 1000)) = ±0.231973 before a sigmoid, as in deeplearning.net's tutorial."""
    torch.manual_seed(0)
    for nonlinearity, bound in (
        (nn.Sigmoid, 0.231973),
        (nn.Tanh, 0.231973 / 4),
        (nn.ReLU, (6 / 784) ** 0.5),
    ):
        linear = DenseLayer(784, 1000, nonlinearity, batch_norm=False).linear
        assert 0.999 * bound < linear.weight.abs().max() <= bound * 1.00001
        assert not linear.bias.any()


@each_chain
@pytest.mark.parametrize("side", [16, 28, 33])
def test_the_code_after_every_layer_has_the_shape_stated(config: LayeredConfig, side: int) -> None:
    encoder, pictures = chain(config, 2, side), torch.rand(3, 2, side, side)
    for depth in range(1, len(config.widths) + 1):
        assert encoder.up_to(depth).code(pictures).shape == (3, *encoder.up_to(depth).code_shape)
    assert encoder.up_to(len(config.widths)).code_shape == encoder.code_shape


@each_chain
@pytest.mark.parametrize("side", [16, 33])
@pytest.mark.parametrize("tied", [False, True])
def test_a_chain_cut_at_any_layer_decodes_to_pictures(
    config: LayeredConfig, side: int, tied: bool
) -> None:
    pictures = torch.rand(3, 2, side, side)
    for depth in (1, 2, 3):
        cut = chain(config, 2, side).up_to(depth)
        decoded = cut.decoder(2, side, tied)(cut.code(pictures))
        assert decoded.shape == pictures.shape
        assert decoded.min() < 0  # unbounded


@each_chain
def test_the_decoder_undoes_the_last_layer_first(config: LayeredConfig) -> None:
    encoder = chain(config, 1, 16)
    biases = [len(bias) for bias in encoder.decoder(1, 16, tied=True).parameters()]
    last = 1 if isinstance(config, ConvStackConfig) else 256
    assert biases == [config.widths[1], config.widths[0], last]


@each_chain
def test_a_cut_chain_is_the_first_layers_themselves(config: LayeredConfig) -> None:
    encoder, pictures = chain(config, 1, 16).eval(), torch.rand(2, 1, 16, 16)
    cut = encoder.up_to(2)
    assert type(cut) is type(encoder)
    assert cut.width == config.widths[1]
    assert torch.equal(encoder.layers[2](cut.code(pictures)), encoder.code(pictures))
    assert set(map(id, cut.parameters())) < set(map(id, encoder.parameters()))


@each_chain
@pytest.mark.parametrize("layer", [0, 4, -1])
def test_a_layer_that_is_not_there(config: LayeredConfig, layer: int) -> None:
    with pytest.raises(SslcliError) as caught:
        chain(config, 1, 16).up_to(layer)
    assert "1 to 3" in caught.value.message


@pytest.mark.parametrize("activation", list(Activation))
def test_every_layer_and_the_decoder_between_them_use_the_activation(
    activation: Activation,
) -> None:
    encoder = MLPConfig(widths=[4, 3], activation=activation, batch_norm=False).build(1, 8)
    kind = activation.module()
    inside = [module for module in encoder.modules() if type(module) is kind]
    between = [
        module for module in encoder.decoder(1, 8, tied=False).modules() if type(module) is kind
    ]
    assert (len(inside), len(between)) == (2, 1)


def test_batch_norm_can_be_left_out() -> None:
    def norms(batch_norm: bool) -> int:
        encoder = ConvStackConfig(widths=[4, 3], batch_norm=batch_norm).build(1, 8)
        return sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())

    assert (norms(True), norms(False)) == (2, 0)


@pytest.mark.parametrize(
    "config", [MLPConfig(widths=[6], bottleneck=3), ConvStackConfig(widths=[6], bottleneck=3)]
)
@pytest.mark.parametrize("tied", [False, True])
def test_a_bottlenecks_code_is_its_features_and_decodes(config: LayeredConfig, tied: bool) -> None:
    torch.manual_seed(0)
    encoder, pictures = config.build(1, 9).eval(), torch.rand(4, 1, 9, 9)
    assert isinstance(encoder, Bottleneck)
    assert encoder.width == 3
    assert encoder.code(pictures).shape == (4, *encoder.code_shape) == (4, 3)
    assert torch.equal(encoder.code(pictures), encoder(pictures))
    assert encoder.decoder(1, 9, tied)(encoder.code(pictures)).shape == pictures.shape


def test_a_bottleneck_tells_every_place_from_the_others() -> None:
    class Eye(Encoder):
        code_shape = (2, 3, 3)

        def code(self, pictures: Tensor) -> Tensor:
            return pictures

    torch.manual_seed(0)
    one_bright_place = torch.eye(18).view(18, 2, 3, 3)
    codes = Bottleneck(Eye(), 4).code(one_bright_place)
    assert torch.pdist(codes).min() > 0.01


def test_a_bottleneck_cannot_be_cut() -> None:
    with pytest.raises(SslcliError):
        MLPConfig(widths=[6], bottleneck=3).build(1, 8).up_to(1)


def test_a_bottleneck_of_maps_keeps_places() -> None:
    torch.manual_seed(0)
    config = ConvStackConfig(widths=[4, 6], bottleneck=2, bottleneck_places=True)
    encoder, pictures = config.build(1, 16).eval(), torch.rand(4, 1, 16, 16)
    assert encoder.code(pictures).shape == (4, *encoder.code_shape) == (4, 2, 4, 4)
    assert torch.equal(encoder(pictures), encoder.code(pictures).flatten(1))
    assert encoder(pictures).shape == (4, encoder.width)
    assert torch.equal(encoder.maps(pictures), encoder.code(pictures))
    assert encoder.decoder(1, 16, False)(encoder.code(pictures)).shape == pictures.shape
    changed = pictures.clone()
    changed[:, :, :2, :2] += 0.5
    moved = (encoder.code(changed) - encoder.code(pictures)).abs().amax(dim=(0, 1))
    assert moved[0, 0] > 1e-3
    assert moved[3].max() == 0, "what is far away keeps its code"


def test_a_bottleneck_of_maps_needs_maps_and_a_number() -> None:
    with pytest.raises(SslcliError, match=r"^encoder\.bottleneck_places must be false"):
        ConvStackConfig(widths=[4], bottleneck_places=True)
    with pytest.raises(SslcliError, match=r"^encoder\.bottleneck_places: the code of a MLP"):
        MLPConfig(widths=[4], bottleneck=2, bottleneck_places=True).build(1, 8)
