from __future__ import annotations

import pytest
import torch
from doubles import CPU
from torch import nn

from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer, Player
from sslcli.engine.optim_config import SGDConfig
from sslcli.errors import RunFailed


def player(*modules: nn.Module, clip_norm: float = 0.0) -> Player:
    return Player(
        SGDConfig(momentum=0, nesterov=False, weight_decay=0, clip_norm=clip_norm).build(modules),
        clip_norm,
    )


def test_only_the_named_player_gets_a_gradient() -> None:
    """An adversarial step: the discriminator's loss must not reach the generator, nor the other way round."""
    torch.manual_seed(0)
    generator, discriminator = nn.Linear(3, 3), nn.Linear(3, 1)
    minimize = Minimizer(
        {"generator": player(generator), "discriminator": player(discriminator)}, CPU, lambda _: 0.1
    )
    minimize.begin(0)
    noise = torch.randn(8, 3)
    before = [p.detach().clone() for p in generator.parameters()]
    minimize(discriminator(generator(noise)).mean(), "discriminator")
    assert all(p.grad is None for p in generator.parameters())
    assert all(torch.equal(p, old) for p, old in zip(generator.parameters(), before, strict=True))
    judged = [p.detach().clone() for p in discriminator.parameters()]
    minimize(-discriminator(generator(noise)).mean(), "generator")
    assert all(
        torch.equal(p, old) for p, old in zip(discriminator.parameters(), judged, strict=True)
    )
    assert not torch.equal(generator.weight, before[0])


def test_the_step_is_the_optimizers() -> None:
    weight = nn.Linear(2, 1, bias=False)
    old = weight.weight.detach().clone()
    minimize = Minimizer({"method": player(weight)}, CPU, lambda _: 0.5)
    minimize.begin(0)
    minimize(weight(torch.tensor([[1.0, 2.0]])).sum())
    assert torch.allclose(weight.weight, old - 0.5 * torch.tensor([[1.0, 2.0]]))


def test_a_course_of_weight_decay_is_for_what_is_decayed() -> None:
    network = nn.Linear(2, 1)
    optimizer = SGDConfig(weight_decay=0.0).build([network])
    minimize = Minimizer({"method": Player(optimizer, 0.0)}, CPU, lambda _: 0.5, lambda step: step)
    for step in (0, 3):
        minimize.begin(step)
        assert [group["weight_decay"] for group in optimizer.param_groups] == [step, 0.0]


def test_what_runs_after_an_update_runs_on_the_new_weights_in_half_precision_too() -> None:
    """Autocast keeps its copies of weights until it is left, which is after the whole step: a generator would be judged by the
    discriminator of before."""
    network, inputs = nn.Linear(4, 1), torch.ones(2, 4)
    half = Compute(torch.device("cpu"), torch.bfloat16)
    minimize = Minimizer({"method": player(network)}, half, lambda _: 1.0)
    minimize.begin(0)
    with half.autocast():
        before = network(inputs)
        minimize(before.sum())
        after = network(inputs)
    with half.autocast():
        expected = network(inputs)
    assert torch.equal(after, expected)
    assert not torch.equal(after, before)


def test_clipping_bounds_the_step() -> None:
    weight = nn.Linear(2, 1, bias=False)
    old = weight.weight.detach().clone()
    minimize = Minimizer({"method": player(weight, clip_norm=0.1)}, CPU, lambda _: 1.0)
    minimize.begin(0)
    minimize(weight(torch.tensor([[30.0, 40.0]])).sum())
    assert (weight.weight - old).norm().item() == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named(bad: float) -> None:
    weight = nn.Linear(2, 1)
    players = {"critic": player(weight), "generator": player(nn.Linear(2, 1))}
    minimize = Minimizer(players, CPU, lambda _: 0.1)
    minimize.begin(41)
    with pytest.raises(RunFailed, match="the loss of the critic is not finite at step 41"):
        minimize(weight(torch.ones(1, 2)).sum() * bad, "critic")


def test_the_loss_of_a_single_player_needs_no_name() -> None:
    weight = nn.Linear(2, 1)
    minimize = Minimizer({"method": player(weight)}, CPU, lambda _: 0.1)
    minimize.begin(7)
    with pytest.raises(RunFailed, match=r"^the loss is not finite at step 7$"):
        minimize(weight(torch.ones(1, 2)).sum() * float("nan"))
