"""What a device computes in, and what it is asked for when several processes share the work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sslcli.engine import device
from sslcli.engine.device import Compute, kept_precision, share_batch_norm
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
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


CPU = RuntimeConfig(device=DeviceChoice.cpu, threads=torch.get_num_threads())


@pytest.mark.parametrize(
    ("facts", "precision"),
    [
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512f avx512_bf16\n", "bf16"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n", "fp32"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n", "bf16"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_bf16\n", "fp32"),
        ("CPU implementer\t: 0x41\nFeatures\t: fp asimd i8mm bf16\n", "bf16"),
        (None, "fp32"),
    ],
    ids=["AMD", "older AMD", "Intel with tiles", "Intel without", "ARM", "no facts"],
)
def test_a_cpu_computes_in_what_is_faster_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: str | None, precision: str
) -> None:
    if facts is not None:
        (tmp_path / "cpuinfo").write_text(facts)
    monkeypatch.setattr(device, "CPU_FACTS", tmp_path / "cpuinfo")
    assert Compute.choose(CPU).precision == precision


@pytest.mark.parametrize(
    ("asked", "begun", "kept"),
    [
        ("auto", {}, "auto"),
        ("auto", {"device": "cpu (x86_64, 2 threads)", "precision": "bf16"}, "bf16"),
        ("auto", {"device": "cpu (x86_64, 2 threads)", "precision": "fp32"}, "auto"),
        ("auto", {"device": "NVIDIA H200", "precision": "bf16"}, "auto"),
        ("auto", {"device": "mps (arm64, 8 threads)", "precision": "fp32"}, "auto"),
        ("fp32", {"device": "cpu (x86_64, 2 threads)", "precision": "bf16"}, "fp32"),
        ("auto", {"device": ["cpu"], "precision": ["bf16"]}, "auto"),
    ],
)
def test_what_auto_chose_is_kept_on_the_same_kind_of_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, begun: dict[str, object], kept: str
) -> None:
    (tmp_path / "cpuinfo").write_text("vendor_id : GenuineIntel\nflags : avx512_bf16\n")
    monkeypatch.setattr(device, "CPU_FACTS", tmp_path / "cpuinfo")  # here auto is fp32
    runtime = RuntimeConfig(device=DeviceChoice.cpu, precision=Precision(asked))
    assert kept_precision(runtime, begun) is Precision(kept)


def test_bf16_is_not_kept_where_a_cpu_has_no_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text("vendor_id : GenuineIntel\nflags : avx2\n")
    monkeypatch.setattr(device, "CPU_FACTS", tmp_path / "cpuinfo")
    before = {"device": "cpu (x86_64, 2 threads)", "precision": "bf16"}
    assert kept_precision(CPU, before) is Precision.auto
