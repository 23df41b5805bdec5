"""Runs a sweep with Hydra's sweepers and launchers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from sslcli.cli.compose import composed_to_dataclass, config_loader
from sslcli.cli.launch import hand_to_hydra
from sslcli.cli.words import require_text, split_words
from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.jobs import sweep as sweeping
from sslcli.jobs.sweep_folder import open_sweep
from sslcli.processes import launched_as
from sslcli.text import hydra_quoted

SHOWING = ("--cfg", "-c", "--info", "-i", "--hydra-help")
"""Flags that print something and run nothing."""
SWEEPER_WORDS = {
    "hydra/sweeper=optuna": ["hydra.sweeper.max_failure_rate=1", "hydra.sweeper.sampler.seed=0"]
}
"""Overrides for a sweeper: continue after a failed job, and repeat the same jobs on resume."""


def run_sweep(command: str, words: list[str], debug: bool) -> int:
    """Runs every unfinished job with Hydra's launcher; returns the exit status."""
    console, trouble = Console(), None
    if launched_as().size > 1:
        message = (
            f"{launched_as().size} processes were started together, and a sweep (-m) starts its own"
        )
        raise SslcliError(
            message,
            "leave torchrun or srun out; hydra/launcher=submitit_slurm sends jobs to a cluster",
        )
    overrides, flags = split_words(words)
    if set(SHOWING) & {flag.partition("=")[0] for flag in flags}:
        raise SslcliError(
            "a flag that only shows something, and -m", "leave -m out, and give every key one value"
        )
    with config_loader(flags) as loader:
        composed = loader.load_configuration(command, overrides, RunMode.MULTIRUN)
        planned = jobs_planned(composed, loader)
        named = any(word.startswith("hydra.sweep.dir=") for word in words)
        chosen = Path(composed.hydra.sweep.dir) if named else None
        outputs = expanded(composed.runtime.outputs)
    sweep = open_sweep(outputs, command, words, planned, chosen)
    words = [*_sweeper_words(overrides), *words]
    try:
        with sweeping.sweep_lock_and_display(sweep, console):
            hand_to_hydra(
                command, [*words, f"hydra.sweep.dir={hydra_quoted(str(sweep))}"], sweep_job
            )
    except (HydraException, OmegaConfBaseException):
        sweeping.delete_if_nothing_started(sweep)
        raise
    except SslcliError:
        raise
    except Exception as reason:  # an installed launcher or sweeper may raise anything
        if debug:
            raise
        trouble = f"Hydra's launcher or sweeper gave up: {reason}"
    sweeping.finish_sweep(sweep, trouble, console)
    return 0


def sweep_job(composed: DictConfig) -> float | None:
    """Runs one job of a sweep, and returns its validation metric for the sweeper.

    A launcher calls this, perhaps in another process or on another machine.
    """
    context = HydraConfig.get()
    words = list(context.overrides.task)

    def config() -> Any:
        found = composed_to_dataclass(composed)
        require_text(words, found)
        return found

    sweep, command = Path(context.sweep.dir), str(context.job.config_name)
    at_once = _at_once(context.launcher.get("n_jobs", 1))
    folder = sweeping.run_job(sweep, context.job.num, command, words, config, at_once)
    if folder is None:
        return None
    direction = context.sweeper.get("direction")
    return sweeping.objective(folder, getattr(direction, "name", direction))


def _at_once(n_jobs: int) -> int:
    """Returns how many jobs a launcher runs at a time; -1 stands for all cores."""
    return n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)


def jobs_planned(composed: DictConfig, loader: ConfigLoader) -> list[list[str]]:
    """Returns the overrides of every job of Hydra's own sweeper.

    Empty for a sweeper that searches: it chooses its jobs one by one.
    """
    sweeper = composed.hydra.sweeper
    if not sweeper._target_.endswith(".BasicSweeper"):
        return []
    words = [
        *(f"{key}={value}" for key, value in (sweeper.params or {}).items()),
        *composed.hydra.overrides.task,
    ]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
    return BasicSweeper.split_arguments(overrides, None)[0]


def _sweeper_words(overrides: list[str]) -> list[str]:
    """Returns the overrides of SWEEPER_WORDS to add for the chosen sweeper.

    Keys that the user set are left out, and a sampler's keys if the user chose another sampler.
    """
    added = [word for name, more in SWEEPER_WORDS.items() if name in overrides for word in more]
    typed = {word.partition("=")[0] for word in overrides}
    replaced = "hydra.sweeper.sampler." if "hydra/sweeper/sampler" in typed else "="
    return [
        word
        for word in added
        if word.partition("=")[0] not in typed and not word.startswith(replaced)
    ]
