"""Finds what a command would train."""

from __future__ import annotations

from typing import Any

from sslcli.data.images import Track
from sslcli.experiments.finetune_config import Config as FinetuneConfig
from sslcli.jobs.job import resolved
from sslcli.tools.plan.finetuning import finetuning
from sslcli.tools.plan.pretraining import pretraining
from sslcli.tools.plan.subject import Subject


def subject_of(command: str, config: Any, elsewhere: bool, track: Track) -> Subject:
    """States what the command would train; raises SslcliError where it would, at its start.

    `elsewhere`: on a GPU that is not here.
    """
    found = resolved(command, config)
    if isinstance(found, FinetuneConfig):
        return finetuning(found, elsewhere)
    return pretraining(command, found, elsewhere, track)
