"""Finds the trainings of a command."""

from __future__ import annotations

from typing import Any

from sslcli.data.images import Track
from sslcli.experiments.finetune_config import Config as FinetuneConfig
from sslcli.experiments.stack_pretrain_config import Config as StackConfig
from sslcli.jobs.job import resolved
from sslcli.tools.plan.finetuning import finetuning
from sslcli.tools.plan.machine import Machine
from sslcli.tools.plan.pretraining import pretraining
from sslcli.tools.plan.stacking import stacking
from sslcli.tools.plan.subject import Subject


def subjects_of(command: str, config: Any, machine: Machine, track: Track) -> list[Subject]:
    """States each training of the command; raises SslcliError where it would, at its start."""
    found = resolved(command, config)
    if isinstance(found, FinetuneConfig):
        return [finetuning(found, machine.elsewhere)]
    if isinstance(found, StackConfig):
        return stacking(found, machine, track)
    return [pretraining(command, found, machine, track)]
