"""Runs an experiment's command line: help, one job or a sweep; or composes for a tool."""

from __future__ import annotations

import dataclasses
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sslcli.cli.compose import compose, composed_to_dataclass, config_loader, register
from sslcli.cli.explain import errors_explained
from sslcli.cli.guard import guarded
from sslcli.cli.help import show_help
from sslcli.cli.launch import hand_to_hydra
from sslcli.cli.sweep import jobs_planned, run_sweep
from sslcli.cli.words import require_text, split_words
from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS
from sslcli.jobs.job import start
from sslcli.jobs.sweep_folder import MULTIRUN
from sslcli.text import shell_quoted
from sslcli.tools.table import Compose


def run_experiment(command: str, words: list[str], debug: bool) -> int:
    """Composes and runs one job, or a sweep with -m; returns the exit status."""
    register()
    _require_words(command, words)
    with errors_explained(command, words, debug):
        if "--help" in words or "-h" in words:
            show_help(command, [word for word in words if word not in ("--help", "-h")], Console())
            return 0
        if set(MULTIRUN) & set(words):
            return run_sweep(command, words, debug)
        return _run(command, words, debug)


def _require_words(command: str, words: list[str]) -> None:
    """Raises SslcliError for a word without a key, or a key of a group that is not chosen.

    For example `data.root=x` without `data=folder` in linear-eval.
    """
    for word in words:
        if word.startswith("="):
            raise SslcliError(
                f"{word!r} has no key before its =", "give key=value, without spaces around the ="
            )
    fields = dataclasses.fields(EXPERIMENTS[command].load_config().Config)
    unchosen = {field.name for field in fields if field.default is None}
    chosen = {word.partition("=")[0].lstrip("+") for word in words}
    for word in words:
        group, dot, _ = word.partition("=")[0].lstrip("+").partition(".")
        if dot and group in (unchosen & GROUPS.keys()) - chosen and "experiment" not in chosen:
            message = f"{word}: {command} has no {group} of its own unless it is chosen"
            one = {"data": "folder", "encoder": "resnet18"}.get(group, "…")
            raise SslcliError(message, f"choose it too: {group}={one} {shell_quoted(word)}")


def _run(command: str, words: list[str], debug: bool) -> int:
    """Runs one job, and prints its errors without Hydra's text; returns the status."""
    statuses = [0]

    def job(composed: DictConfig) -> None:
        def work() -> int:
            context = HydraConfig.get()
            if context.mode is RunMode.MULTIRUN:
                raise SslcliError(
                    "hydra.mode=MULTIRUN asks for a sweep", "leave it out, and add -m"
                )
            typed, config = list(context.overrides.task), composed_to_dataclass(composed)
            require_text(typed, config)
            start(command, config, typed, Console())
            return 0

        statuses.append(guarded(work, debug))

    hand_to_hydra(command, words, job)
    return max(statuses)


def composer(debug: bool) -> Compose:
    """Returns what composes a command's words as a sweep of it would."""

    def composed(command: str, words: list[str]) -> list[tuple[str, Any]]:
        register()
        _require_words(command, words)
        with errors_explained(command, words, debug):
            return _composed(command, words)

    return composed


def _composed(command: str, words: list[str]) -> list[tuple[str, Any]]:
    overrides, _ = split_words([*words, "-m"])
    with config_loader([]) as loader:
        sweep = loader.load_configuration(command, overrides, RunMode.MULTIRUN)
        jobs = jobs_planned(sweep, loader)
    found: list[tuple[str, Any]] = []
    for job in jobs:
        config = composed_to_dataclass(compose(command, job))
        require_text(job, config)
        own = [word for word in job if not all(word in other for other in jobs)]
        found.append((" ".join(own), config))
    return found
