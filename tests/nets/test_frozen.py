"""A frozen network: nothing of it changes, and no other is taken for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslcli.errors import SslcliError
from sslcli.nets.frozen import Frozen


def teacher(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())


def test_it_stays_in_evaluation_mode_and_its_statistics_stay() -> None:
    network = teacher().train()
    parts = nn.ModuleDict({"teacher": Frozen(network), "student": teacher()}).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert parts.training
    assert not any(module.training for module in network.modules())
    parts["teacher"](torch.randn(6, 3, 8, 8) + 9)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_no_player_can_have_its_weights_and_inputs_may_have_a_gradient() -> None:
    frozen = Frozen(teacher())
    assert list(frozen.parameters()) == []
    assert list(frozen.buffers()) == []
    pictures = torch.randn(2, 3, 8, 8, requires_grad=True)
    frozen(pictures).sum().backward()
    assert pictures.grad is not None
    assert all(weight.grad is None for weight in frozen.network.parameters())


def test_it_moves_with_what_it_is_part_of() -> None:
    frozen = Frozen(teacher())
    nn.ModuleDict({"teacher": frozen}).to(torch.float64)
    assert frozen(torch.randn(2, 3, 8, 8, dtype=torch.float64)).dtype == torch.float64


def test_the_state_is_a_hash_alone_that_another_network_does_not_have() -> None:
    frozen = Frozen(teacher())
    state = frozen.state_dict()
    assert [value.shape for value in state.values()] == [(32,)]
    same = Frozen(teacher().to(memory_format=torch.channels_last))
    same.load_state_dict(state)
    other = teacher()
    other[1].running_var[2] += 1e-3  # type: ignore[index,operator]
    with pytest.raises(SslcliError, match="weights of the frozen Sequential are not those"):
        Frozen(other).load_state_dict(state)
