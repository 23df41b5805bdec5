"""A run that goes on, or is run again, where `auto` would choose another precision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from doubles import Sslcli, facts, free_port, only_run
from forks import require_same

from sslcli.engine import device
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, RuntimeConfig


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """What `auto` chooses on a processor that this machine's choice is not for."""
    runtime = RuntimeConfig(device=DeviceChoice.cpu, threads=torch.get_num_threads())
    flags = "avx512_bf16" if Compute.choose(runtime).precision == "bf16" else "amx_bf16"
    (tmp_path / "cpuinfo").write_text(f"vendor_id : GenuineIntel\nflags : {flags}\n")
    monkeypatch.setattr(device, "CPU_FACTS", tmp_path / "cpuinfo")
    return Compute.choose(runtime).precision


def test_a_resumed_run_keeps_its_precision(
    sslcli: Sslcli, whole: Path, killed: Path, elsewhere: str
) -> None:
    outcome = sslcli("resume", str(killed))
    assert outcome.status == 0, outcome.err
    assert "as before: `auto` is another here" in outcome.out
    assert facts(killed)["environment"]["precision"] != elsewhere
    require_same(killed, whole)


def test_a_run_is_run_again_in_its_precision(sslcli: Sslcli, made: Path, elsewhere: str) -> None:
    assert facts(made)["environment"]["precision"] != elsewhere
    outcome = sslcli("rerun", str(made), "--set", "runtime.outputs=again")
    assert outcome.status == 0, outcome.err
    assert "identical: every record and every final metric and every weight" in outcome.out


def test_set_auto_is_what_auto_is_here(sslcli: Sslcli, made: Path, elsewhere: str) -> None:
    named = ["--set", "runtime.outputs=again", "--set", "runtime.precision=auto"]
    assert sslcli("rerun", str(made), *named).status == 1, "of another precision, other weights"
    assert facts(only_run(Path("again")))["environment"]["precision"] == elsewhere


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
    assert f"was in {before} on NVIDIA H200, and goes on in {elsewhere} on cpu" in outcome.err


GOES_ON = """
import sys
from pathlib import Path

from sslcli.cli.main import main
from sslcli.engine import device
from sslcli.engine.minimize import Minimizer

run, facts, rank = sys.argv[1:]
device.CPU_FACTS, real = Path(facts), Minimizer.of

def noted(*given, **named):
    (compute,) = (one for one in given if isinstance(one, device.Compute))
    Path(rank).write_text(compute.precision)
    return real(*given, **named)

Minimizer.of = noted
main(["resume", run])
"""


@pytest.mark.slow
def test_several_processes_keep_what_the_first_began_with(
    tmp_path: Path, killed: Path, elsewhere: str
) -> None:
    """The others know nothing of the run's past."""
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", GOES_ON, str(killed), str(device.CPU_FACTS), rank],
            cwd=tmp_path,
            env={**os.environ, **where, "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    assert [process.wait(100) for process in processes] == [0, 0]
    (before,) = {(tmp_path / rank).read_text() for rank in ("0", "1")}
    assert before != elsewhere
    assert facts(killed)["environment"]["processes"] == 2
