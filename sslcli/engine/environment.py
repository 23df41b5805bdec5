"""Describes a run's machine and software, to explain differences between runs."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from sslcli.engine.device import Compute
from sslcli.processes import size
from sslcli.text import package_version

PACKAGES = ("sslcli", "torch", "torchvision", "numpy", "pillow", "hydra-core", "omegaconf", "timm")


def environment(compute: Compute) -> dict[str, Any]:
    """Returns the versions, system, device, and commit of the source that runs."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {
            name: found for name in PACKAGES if (found := package_version(name)) is not None
        },
        "device": compute.name,
        "precision": compute.precision,
        "processes": size(),
        "git": _git(),
        "arguments": sys.argv,
    }


def _git() -> str | None:
    """Returns this checkout's commit, `-dirty` with changes; None outside a checkout."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
