"""Starts Hydra, which calls a function with the composed config of every job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import hydra
from omegaconf import DictConfig

from sslcli.cli.compose import CONFIG_PATH
from sslcli.cli.words import split_words

# sslcli itself makes a run's folder and writes its config and log.
QUIET = [
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
    "hydra.output_subdir=null",
    "hydra.run.dir=.",
    "hydra.sweep.subdir=.",
]


def hand_to_hydra(command: str, words: list[str], job: Callable[[DictConfig], Any]) -> None:
    """Starts Hydra, which calls `job` with the config of every job."""
    overrides, flags = split_words(words)
    sys.argv = [f"sslcli {command}", f"hydra.job.name=sslcli-{command}", *overrides, *QUIET, *flags]
    hydra.main(version_base="1.3", config_path=CONFIG_PATH, config_name=command)(job)()
