"""Runs the tests of the folder `simulated` in a process that has such a device from its beginning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent / "simulated"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["test_simulated_methods.py", "test_simulated_precision.py", "test_simulated_commands.py"],
)
def test_methods_and_commands_keep_to_the_rules_of_a_device(name: str) -> None:
    pytest.importorskip(
        "torch.utils.backend_registration", reason="torch has no Python backend for devices"
    )
    if not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip(f"torch {torch.__version__} has no Python backend for devices (2.9 has)")
    words = [sys.executable, "-m", "pytest", "-n0", "-q", "-m", "", str(FOLDER / name)]
    environment = {**os.environ, "SSLCLI_SIMULATED": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
