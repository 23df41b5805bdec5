"""Finds what a command would train."""

from __future__ import annotations

from typing import Any

from sslcli.data.images import Track
from sslcli.experiments.finetune_config import Config as FinetuneConfig
from sslcli.jobs.job import resolved
from sslcli.tools.plan.finetuning import finetuning
from sslcli.tools.plan.machine import Machine
from sslcli.tools.plan.pretraining import pretraining
from sslcli.tools.plan.subject import Subject


def subject_of(command: str, config: Any, machine: Machine, track: Track) -> Subject:
    """States what the command would train; raises SslcliError where it would, at its start."""
    found = resolved(command, config)
    if isinstance(found, FinetuneConfig):
        return finetuning(found, machine.elsewhere)
    return pretraining(command, found, machine, track)
