"""What every method of the table promises, whatever it does; and variants of it that train by other code."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import CASES

from sslcli.methods import METHODS
from sslcli.testing.promises import PROMISES
from sslcli.testing.trial import Trial

NOT_IN_60_STEPS = {
    ("moco", "loss_falls"),
    ("barlow_twins", "loss_falls"),
    ("simclr, DCLW in blocks", "loss_falls"),
}
"""MoCo's queue holds keys of the same 24 pictures, Barlow Twins and DCLW need more steps: tests/methods."""
KEPT = [(name, promise) for name in CASES for promise in PROMISES]


@pytest.mark.parametrize(
    ("name", "promise"), [case for case in KEPT if case not in NOT_IN_60_STEPS]
)
def test_a_method_keeps_its_promises(name: str, promise: str, tmp_path: Path) -> None:
    PROMISES[promise](Trial(*CASES[name]), tmp_path)


def test_every_method_is_tried() -> None:
    assert set(METHODS) <= {name.partition(",")[0] for name in CASES}
