"""Runs an experiment's command line: help, one job or a sweep."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from sslcli.cli.compose import compose, composed_to_dataclass, register
from sslcli.cli.explain import explained
from sslcli.cli.guard import guarded
from sslcli.cli.help import show_help
from sslcli.cli.launch import hand_to_hydra
from sslcli.cli.sweep import run_sweep
from sslcli.cli.words import require_text, split_words
from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS
from sslcli.jobs.job import start
from sslcli.jobs.sweep import MULTIRUN
from sslcli.text import shell_quoted


def run_experiment(command: str, words: list[str], debug: bool) -> int:
    """Composes and runs one job, or a sweep with -m; returns the exit status."""
    with _explained(command, words, debug):
        if "--help" in words or "-h" in words:
            show_help(command, [word for word in words if word not in ("--help", "-h")], Console())
            return 0
        if set(MULTIRUN) & set(words):
            return run_sweep(command, words, debug)
        return _run(command, words, debug)


def config_of_words(command: str, words: Sequence[str]) -> Any:
    """Returns the config that a command would run with, of its words; they hold no flag."""
    with _explained(command, list(words), debug=False):
        overrides, _ = split_words(words)
        config = composed_to_dataclass(compose(command, overrides))
        require_text(overrides, config)
        return config


@contextlib.contextmanager
def _explained(command: str, words: list[str], debug: bool) -> Iterator[None]:
    """Prepares Hydra, and raises its errors as SslcliError."""
    # With this Hydra raises its errors instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register()
    for word in words:
        if word.startswith("="):
            raise SslcliError(
                f"{word!r} has no key before its =", "give key=value, without spaces around the ="
            )
    _require_chosen(command, words)
    try:
        yield
    except (HydraException, OmegaConfBaseException) as reason:
        if debug:
            raise
        raise explained(reason, command, words) from reason
    except ValueError as reason:
        if debug or not str(reason).startswith("Config group override"):
            raise
        null = next((word for word in words if word.endswith("=null")), words[0])
        group = null.partition("=")[0]
        raise SslcliError(
            f"{null}: {group} is chosen from a list", "leave it out, which means the same"
        ) from reason


def _require_chosen(command: str, words: list[str]) -> None:
    """Raises SslcliError for a key of a group of which no choice is given or default.

    For example `data.root=x` without `data=folder` in linear-eval.
    """
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
