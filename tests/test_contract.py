"""What every method of the table promises, whatever it does; and variants of it that train by other code."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import CASES

from sslcli.methods import METHODS
from sslcli.testing.promises import PROMISES
from sslcli.testing.trial import Trial


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("name", CASES)
def test_a_method_keeps_its_promises(name: str, promise: str, tmp_path: Path) -> None:
    PROMISES[promise](Trial(*CASES[name]), tmp_path)


def test_every_method_is_tried() -> None:
    assert set(METHODS) <= {name.partition(",")[0] for name in CASES}
