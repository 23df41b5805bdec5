"""Describes a run's machine and software, to explain differences between runs."""

from __future__ import annotations

import platform
import sys
from typing import Any

from sslcli.engine.device import Compute
from sslcli.processes import size
from sslcli.provenance import commit
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
        "git": commit(),
        "arguments": sys.argv,
    }
