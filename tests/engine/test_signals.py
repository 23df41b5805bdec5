"""Signals: which code they pass through, and what they become."""

from __future__ import annotations

import contextlib
import signal

import pytest

from sslcli.engine.signals import interrupted_by_signals
from sslcli.errors import Interrupted


def test_a_signal_passes_code_that_takes_every_exception_for_a_fault() -> None:
    """Such as that around a picture's decoder, or around a checkpoint that is read."""
    after = False
    with (
        pytest.raises(Interrupted, match=f"stopped by signal {signal.SIGTERM.value}") as stopped,
        interrupted_by_signals("go on"),
    ):
        with contextlib.suppress(Exception):
            signal.raise_signal(signal.SIGTERM)
        after = True
    assert not after
    assert (stopped.value.exit_code, stopped.value.fix) == (128 + signal.SIGTERM, "go on")
