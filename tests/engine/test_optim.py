from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from sslcli.engine.lars import LARS
from sslcli.engine.optim_config import (
    OPTIMIZERS,
    AdamWConfig,
    LARSConfig,
    OptimConfig,
    Scaling,
    Schedule,
    SGDConfig,
)
from sslcli.errors import SslcliError
from sslcli.nets.context import ChannelwiseFullyConnected


def test_scaling_is_the_papers() -> None:
    """SimCLR App. B.1: 0.3 * B / 256 and 0.075 * sqrt(B) agree at 4096."""
    linear = SGDConfig(lr=0.3, scaling=Scaling.linear).peak_learning_rate(4096)
    root = SGDConfig(lr=0.075, scaling=Scaling.sqrt).peak_learning_rate(4096)
    assert linear == pytest.approx(4.8)
    assert root == pytest.approx(4.8)
    assert SGDConfig(lr=0.3).peak_learning_rate(4096) == 0.3


def test_schedule_warms_up_and_falls_along_a_cosine() -> None:
    config = SGDConfig(lr=1.0, warmup_epochs=2, final_lr=0.1)
    rates = [
        config.learning_rate(step, num_steps=50, steps_per_epoch=5, batch_size=256)
        for step in range(50)
    ]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[30] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert rates[-1] >= 0.1


def test_constant_schedule() -> None:
    config = SGDConfig(lr=0.5, warmup_epochs=0, schedule=Schedule.constant)
    assert {config.learning_rate(step, 10, 5, 64) for step in range(10)} == {0.5}


def test_a_warm_up_longer_than_the_run_only_rises() -> None:
    config = SGDConfig(lr=1.0, warmup_epochs=100)
    rates = [
        config.learning_rate(step, num_steps=4, steps_per_epoch=2, batch_size=64)
        for step in range(4)
    ]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("config", [cls() for cls in OPTIMIZERS.values()], ids=list(OPTIMIZERS))
def test_biases_and_norms_are_not_decayed(config: OptimConfig) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = config.build([network])
    decay = {
        id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    assert [decay[id(p)] > 0 for p in network.parameters()] == [True, False, False, False]


def test_a_bias_of_several_dimensions_is_not_decayed() -> None:
    layer = ChannelwiseFullyConnected(channels=2, side=3)
    groups = LARSConfig().build([layer]).param_groups
    assert [[id(p) for p in group["params"]] for group in groups] == [
        [id(layer.weight)],
        [id(layer.bias)],
    ]
    assert [(group["weight_decay"] > 0, group["adapt"]) for group in groups] == [
        (True, True),
        (False, False),
    ]


class Embedded(nn.Module):
    """As a ViT: a positional embedding that is no weight, and a class token."""

    no_decay = ("position", "token")

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 4, 3))
        self.token = nn.Parameter(torch.zeros(1, 1, 3))
        self.linear = nn.Linear(3, 3)


@pytest.mark.parametrize("network", [Embedded(), nn.Sequential(nn.Linear(2, 2), Embedded())])
def test_what_a_module_names_is_not_decayed(network: nn.Module) -> None:
    decayed, others = SGDConfig().build([network]).param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    left = {names[id(parameter)].rpartition(".")[2] for parameter in others["params"]}
    assert left == {"position", "token", "bias"}
    assert {names[id(p)].rpartition(".")[2] for p in decayed["params"]} == {"weight"}


def test_weight_decay_has_a_course_where_it_has_an_end() -> None:
    """DINO (Caron et al. 2021): from 0.04 to 0.4, along half a cosine."""
    config = AdamWConfig(weight_decay=0.04, weight_decay_end=0.4)
    course = [config.weight_decay_at(step, 40) for step in range(40)]
    papers = [0.4 + 0.5 * (0.04 - 0.4) * (1 + math.cos(math.pi * step / 40)) for step in range(40)]
    assert course == pytest.approx(papers)
    assert {AdamWConfig(weight_decay=0.1).weight_decay_at(step, 9) for step in range(9)} == {0.1}


def test_decay_all_decays_all() -> None:
    optimizer = SGDConfig(decay_all=True).build([nn.Linear(3, 4)])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4]


@pytest.mark.parametrize("config", [cls() for cls in OPTIMIZERS.values()], ids=list(OPTIMIZERS))
def test_every_optimizer_descends(config: OptimConfig) -> None:
    torch.manual_seed(0)
    network, target = nn.Linear(4, 2), torch.randn(16, 2)
    inputs = torch.randn(16, 4)
    optimizer = config.build([network])

    def loss() -> torch.Tensor:
        return (network(inputs) - target).square().mean()

    before = loss().item()
    for _ in range(20):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < before


@pytest.mark.parametrize("config", [SGDConfig(), AdamWConfig(), LARSConfig()])
def test_a_first_step_that_the_scaler_of_fp16_skips_leaves_nothing(config: OptimConfig) -> None:
    """Torch's fused SGD goes on with memory that nobody wrote: pages full of NaN stand for it here."""
    torch.manual_seed(0)
    once, skipped = nn.Linear(64, 64), nn.Linear(64, 64)
    skipped.load_state_dict(once.state_dict())
    for model, overflows in ((once, 0), (skipped, 1)):
        optimizer = config.build([model])
        scaler = torch.amp.GradScaler("cpu")
        for step in range(overflows + 2):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(2, 64)).square().sum()).backward()
            if step < overflows:
                for parameter in model.parameters():
                    parameter.grad.fill_(math.inf)
            freed = [torch.full_like(parameter, math.nan) for parameter in model.parameters()]
            del freed
            scaler.step(optimizer)
            scaler.update()
    for expected, found in zip(once.parameters(), skipped.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_lars_follows_its_formula() -> None:
    torch.manual_seed(0)
    weight, bias = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(3))
    groups = [
        {"params": [weight], "weight_decay": 0.1, "adapt": True},
        {"params": [bias], "adapt": False},
    ]
    optimizer = LARS(groups, lr=0.5, momentum=0.9, trust=0.02)
    w, b, v_w, v_b = (
        weight.detach().clone(),
        bias.detach().clone(),
        torch.zeros(3, 2),
        torch.zeros(3),
    )
    for step in range(3):
        rate = 0.5 / (step + 1)  # a changing rate tells whether it is inside the velocity
        for group in optimizer.param_groups:
            group["lr"] = rate
        weight.grad, bias.grad = torch.randn(3, 2), torch.randn(3)
        direction = weight.grad + 0.1 * w
        v_w = 0.9 * v_w + rate * 0.02 * w.norm() / direction.norm() * direction
        v_b = 0.9 * v_b + rate * bias.grad
        w, b = w - v_w, b - v_b
        optimizer.step()
    assert torch.allclose(weight, w, atol=1e-6)
    assert torch.allclose(bias, b, atol=1e-6)


def test_lars_moves_a_weight_that_is_zero() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([{"params": [weight], "adapt": True}], lr=0.1, momentum=0.0, trust=0.001).step()
    assert torch.allclose(weight, torch.full((2, 2), -0.1))


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: SGDConfig(lr=0), "optim.lr"),
        (lambda: SGDConfig(momentum=1.0), "optim.momentum"),
        (lambda: SGDConfig(momentum=0.0, nesterov=True), "optim.nesterov"),
        (lambda: AdamWConfig(betas=[0.9]), "optim.betas"),
        (lambda: LARSConfig(trust=0), "optim.trust"),
        (lambda: SGDConfig(final_lr=2), "optim.final_lr"),
        (lambda: SGDConfig(weight_decay=-1), "optim.weight_decay"),
        (lambda: SGDConfig(weight_decay_end=-1), "optim.weight_decay_end"),
    ],
)
def test_bad_settings_are_named(make: object, key: str) -> None:
    with pytest.raises(SslcliError, match=key):
        make()  # type: ignore[operator]
