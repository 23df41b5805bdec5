"""Fixtures of sweeps."""

from __future__ import annotations

import pytest
from doubles import double_of
from sweeps import Processes

from sslcli.jobs import process
from sslcli.jobs import sweep as sweeping


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    found = Processes()
    monkeypatch.setattr(process, "call", double_of(process.call, found.call))
    monkeypatch.setattr(sweeping, "POLL", 0.01)
    monkeypatch.setattr(process, "POLL", 0.01)
    return found
