"""What a run ran on and with: recorded, so that two runs that differ can be told apart by it."""

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
    """Versions, system, device, and the commit of the source that ran."""
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
    """Commit of the checkout that this file is in, `-dirty` where tracked files differ from it; None elsewhere."""
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
