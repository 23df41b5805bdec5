"""A run that goes on, or is run again, where `auto` would choose another precision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from doubles import Sslcli, facts
from forks import require_same

from sslcli.engine import device
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, RuntimeConfig


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """What `auto` chooses on a processor that this machine's choice is not for."""
    runtime = RuntimeConfig(device=DeviceChoice.cpu, threads=torch.get_num_threads())
    flags = "avx2" if Compute.choose(runtime).precision == "bf16" else "amx_bf16"
    (tmp_path / "cpuinfo").write_text(f"vendor_id : GenuineIntel\nflags : {flags}\n")
    monkeypatch.setattr(device, "CPU_FACTS", tmp_path / "cpuinfo")
    return Compute.choose(runtime).precision


def test_a_resumed_run_keeps_its_precision(
    sslcli: Sslcli, whole: Path, killed: Path, elsewhere: str
) -> None:
    outcome = sslcli("resume", str(killed))
    assert outcome.status == 0, outcome.err
    assert "goes on in" not in outcome.err
    assert facts(killed)["environment"]["precision"] != elsewhere
    require_same(killed, whole)


def test_a_run_is_run_again_in_its_precision(sslcli: Sslcli, made: Path, elsewhere: str) -> None:
    assert facts(made)["environment"]["precision"] != elsewhere
    outcome = sslcli("rerun", str(made), "--set", "runtime.outputs=again")
    assert outcome.status == 0, outcome.err
    assert "identical: every record and every final metric and every weight" in outcome.out


def test_a_run_of_a_card_says_what_it_goes_on_in(
    sslcli: Sslcli, killed: Path, elsewhere: str
) -> None:
    """A card's bf16 may be far too slow on the CPU where a run is finished."""
    found = facts(killed)
    before = found["environment"]["precision"]
    found["environment"]["device"] = "NVIDIA H200"
    (killed / "run.json").write_text(json.dumps(found))
    outcome = sslcli("resume", str(killed))
    assert outcome.status == 0, outcome.err
    assert f"began in {before} on NVIDIA H200, and goes on in {elsewhere} on cpu" in outcome.err
