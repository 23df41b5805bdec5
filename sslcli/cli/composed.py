"""Composes an experiment's configs for a tool that runs none."""

from __future__ import annotations

from typing import Any

from hydra.types import RunMode

from sslcli.cli.compose import compose, composed_to_dataclass, config_loader, register
from sslcli.cli.explain import errors_explained
from sslcli.cli.sweep import jobs_planned
from sslcli.cli.words import require_text, split_words
from sslcli.tools.table import Compose


def composer(command: str, debug: bool) -> Compose:
    """Returns what composes words as a sweep of the command would."""

    def composed(words: list[str]) -> list[tuple[str, Any]]:
        with errors_explained(command, words, debug):
            return _composed(command, words)

    return composed


def _composed(command: str, words: list[str]) -> list[tuple[str, Any]]:
    register()
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
