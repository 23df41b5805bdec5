"""What a device is asked for when several processes share the work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslcli.engine.device import Compute, share_batch_norm
from sslcli.engine.runtime_config import DeviceChoice, RuntimeConfig
from sslcli.errors import SslcliError


class NormAndActivation(nn.BatchNorm2d):
    """As timm's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


def test_shared_batch_norm_leaves_what_else_a_network_computes_as_it_was() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(NormAndActivation(4))
    ).eval()
    pictures = torch.randn(2, 3, 8, 8)
    before, keys = network(pictures), list(network.state_dict())
    share_batch_norm(network)
    assert type(network[1]) is nn.SyncBatchNorm
    assert type(network[2][0]) is NormAndActivation
    assert torch.equal(network(pictures), before)
    assert list(network.state_dict()) == keys


def test_several_processes_on_mps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for key, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SslcliError, match="mps is one device") as caught:
        Compute.choose(RuntimeConfig(device=DeviceChoice.mps))
    assert "runtime.device=cpu" in caught.value.fix
