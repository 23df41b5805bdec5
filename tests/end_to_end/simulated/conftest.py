"""A process of their own for these tests: torch counts its devices at the first backward pass.

`test_on_a_simulated_device.py` starts it; elsewhere none of them is collected."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from simulated_device import WAITS, OnDevice, install, no_waits

from sslcli.engine.device import Compute

OF_ITS_OWN = "SSLCLI_SIMULATED" in os.environ
collect_ignore_glob = [] if OF_ITS_OWN else ["test_*.py"]
if OF_ITS_OWN:
    install()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compute]:
    """The simulated accelerator, which every command chooses. In views and train_step a wait raises `Waited`."""
    compute = Compute(torch.device("sim", 0), None)
    monkeypatch.setattr(Compute, "choose", classmethod(lambda cls, config: compute))
    monkeypatch.setattr("sslcli.engine.train.record_function", no_waits)
    WAITS.counts.clear()
    with OnDevice():
        yield compute
