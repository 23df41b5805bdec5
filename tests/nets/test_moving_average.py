"""Slow copies: their weights follow, their buffers are copied, and no gradient reaches them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslcli.nets.moving_average import MovingAverage


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_copies_start_equal_and_follow_with_the_momentum() -> None:
    torch.manual_seed(0)
    encoder, projector = network(), nn.Linear(4, 2)
    average = MovingAverage(encoder, projector)
    inputs = torch.randn(5, 3)
    assert torch.equal(average(inputs), projector(encoder(inputs)))
    before = [weight.clone() for weight in average.parameters()]
    with torch.no_grad():
        for weight in (*encoder.parameters(), *projector.parameters()):
            weight.add_(1.0)
    average.follow(encoder, projector, momentum=0.9)
    fast = [*encoder.parameters(), *projector.parameters()]
    for found, old, new in zip(average.parameters(), before, fast, strict=True):
        assert torch.allclose(found, 0.9 * old + 0.1 * new, atol=1e-6)
    average.follow(encoder, projector, momentum=0.0)
    assert all(map(torch.equal, average.parameters(), fast))


def test_buffers_are_copied() -> None:
    online = network()
    average = MovingAverage(online)
    online(torch.randn(6, 3) + 4)
    average.follow(online, momentum=0.99)
    slow = average[0]
    assert isinstance(slow, nn.Sequential)
    for (name, found), expected in zip(slow.named_buffers(), online.buffers(), strict=True):
        assert torch.equal(found, expected), name


def test_a_copy_that_is_fed_may_keep_its_own_buffers() -> None:
    online = network()
    average = MovingAverage(online)
    average(torch.randn(6, 3) + 4)
    own = [buffer.clone() for buffer in average.buffers()]
    average.follow(online, momentum=0.5, buffers=False)
    assert all(map(torch.equal, average.buffers(), own))
    assert not torch.equal(own[0], next(online.buffers()))


def test_no_gradient_and_the_mode_of_the_method() -> None:
    average = MovingAverage(network())
    assert not average(torch.randn(4, 3, requires_grad=True)).requires_grad
    assert not any(weight.requires_grad for weight in average.parameters())
    inputs = torch.randn(8, 3)
    assert average[0].training, "batch norm takes the batch's statistics, as in BYOL's code"
    assert average(inputs).mean(dim=0).abs().max() < 1e-5
    assert average.eval()(inputs).mean(dim=0).abs().max() > 1e-3


def test_other_networks_than_those_copied_are_refused() -> None:
    average = MovingAverage(network(), nn.Linear(4, 2))
    with pytest.raises(ValueError):
        average.follow(network(), momentum=0.9)
