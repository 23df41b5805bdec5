"""Fixtures of experiments that train."""

from __future__ import annotations

import pytest
from doubles import Steps

from sslcli.console import TrainingLines


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Every step of every phase, as the console is told of them."""
    told = Steps()
    real = TrainingLines.step

    def step(self: TrainingLines, done: int) -> None:
        told(self._label, done)
        real(self, done)

    monkeypatch.setattr(TrainingLines, "step", step)
    return told
