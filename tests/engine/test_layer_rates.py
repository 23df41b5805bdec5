"""Each block of an encoder learns at a part of the next one's rate."""

from __future__ import annotations

import pytest
import torch
from doubles import CPU
from torch import nn

from sslcli.config import identity
from sslcli.engine.layer_rates import block_depths, layer_rates
from sslcli.engine.minimize import Minimizer, Player
from sslcli.engine.optim_config import AdamWConfig, SGDConfig
from sslcli.errors import SslcliError
from sslcli.nets.encoder_config import ConvNetConfig, Norm, ResNet18Config
from sslcli.nets.vit_config import ViTConfig

VIT = ViTConfig(width=12, depth=3, heads=2)


def test_a_vits_blocks_follow_each_other() -> None:
    rates = layer_rates(VIT.build(3, 16), 0.5)
    for name, rate in {
        "cls_token": 0.5**4,
        "pos_embed": 0.5**4,
        "patch_embed.proj.weight": 0.5**4,
        "blocks.0.norm1.weight": 0.5**3,
        "blocks.2.mlp.fc2.bias": 0.5,
        "norm.weight": 1.0,
    }.items():
        assert rates[name] == rate


@pytest.mark.large
def test_a_resnets_first_layer_is_slowest_and_its_last_block_full() -> None:
    with torch.device("meta"):
        encoder = ResNet18Config().build(3, 64)
    rates = layer_rates(encoder, 0.5)
    assert rates["resnet.conv1.weight"] == rates["resnet.bn1.bias"] == 0.5**8
    assert rates["resnet.layer1.0.conv1.weight"] == 0.5**7
    assert rates["resnet.layer4.1.bn2.weight"] == 1.0


def test_what_stands_behind_the_last_block_has_the_full_rate() -> None:
    found = block_depths({"a": 2, "b.0.x": 2, "b.0.y": 1, "b.1.x": 2, "c": 1})
    assert found == {"a": 0, "b.0.x": 1, "b.0.y": 1, "b.1.x": 2, "c": 3}


@pytest.mark.parametrize("norm", [Norm.batch, Norm.group])
def test_a_convnet_has_six_blocks_each_with_its_norm(norm: Norm) -> None:
    rates = layer_rates(ConvNetConfig(width=4, norm=norm).build(1, 28), 0.5)
    assert sorted(set(rates.values())) == [0.5**depth for depth in reversed(range(6))]
    assert rates["blocks.0.weight"] == rates["blocks.1.weight"] == 0.5**5
    assert rates["blocks.15.weight"] == rates["blocks.16.bias"] == 1.0


def test_a_projector_has_the_full_rate() -> None:
    assert layer_rates(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), 0.5) == {}


def test_an_encoder_is_found_inside_what_is_trained() -> None:
    """DINO trains a student: an encoder with a head."""
    student = nn.ModuleDict({"encoder": VIT.build(3, 16), "head": nn.Linear(12, 2)})
    rates = layer_rates(student, 0.5)
    assert rates["encoder.cls_token"] == 0.5**4
    assert rates["encoder.norm.weight"] == 1.0
    assert not [name for name in rates if name.startswith("head")]
    behind = ViTConfig(width=12, depth=3, heads=2, bottleneck=4).build(3, 16)
    assert layer_rates(behind, 0.5)["encoder.cls_token"] == 0.5**4


def test_a_step_takes_from_each_block_its_part() -> None:
    torch.manual_seed(0)
    encoder, head = VIT.build(3, 16), nn.Linear(12, 1, bias=False)
    config = SGDConfig(momentum=0, nesterov=False, weight_decay=0, layer_decay=0.5)
    optimizer = config.build([encoder, head])
    minimize = Minimizer({"method": Player(optimizer, 0.0)}, CPU, lambda step: 0.1)
    watched = {"cls_token": 0.5**4, "blocks.1.norm1.weight": 0.5**2, "norm.weight": 1.0}
    before = {name: encoder.get_parameter(name).detach().clone() for name in watched}
    first = head.weight.detach().clone()
    minimize.begin(0)
    minimize(head(encoder(torch.randn(4, 3, 16, 16))).square().mean())
    for name, rate in watched.items():
        weight = encoder.get_parameter(name)
        assert weight.grad is not None
        step = before[name] - 0.1 * rate * weight.grad
        torch.testing.assert_close(weight.detach(), step)
    assert head.weight.grad is not None
    torch.testing.assert_close(head.weight.detach(), first - 0.1 * head.weight.grad)


def test_without_it_groups_and_identity_are_as_before() -> None:
    groups = AdamWConfig().build([VIT.build(3, 16)]).param_groups
    assert [group["adapt"] for group in groups] == [True, False]
    assert "rate" not in groups[0]
    assert len(AdamWConfig(layer_decay=0.5).build([VIT.build(3, 16)]).param_groups) > 2
    assert identity("pretrain", AdamWConfig()) == identity("pretrain", AdamWConfig(layer_decay=1.0))
    assert identity("pretrain", AdamWConfig()) != identity("pretrain", AdamWConfig(layer_decay=0.9))
    with pytest.raises(SslcliError, match="layer_decay must be above 0"):
        AdamWConfig(layer_decay=0.0)
