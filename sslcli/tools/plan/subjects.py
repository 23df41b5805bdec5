"""Finds the trainings of a command."""

from __future__ import annotations

from typing import Any

from sslcli.data.images import Track
from sslcli.experiments.finetune_config import Config as FinetuneConfig
from sslcli.experiments.stack_pretrain_config import Config as StackConfig
from sslcli.tools.plan.finetuning import finetuning
from sslcli.tools.plan.machine import Machine
from sslcli.tools.plan.pretraining import pretraining
from sslcli.tools.plan.stacking import stacking
from sslcli.tools.plan.subject import Subject


def subjects_of(command: str, config: Any, machine: Machine, track: Track) -> list[Subject]:
    """States each training of the command, whose config is resolved.

    Raises SslcliError where the command would, at its start.
    """
    if isinstance(config, FinetuneConfig):
        return [finetuning(config, machine.elsewhere)]
    if isinstance(config, StackConfig):
        return stacking(config, machine, track)
    return [pretraining(command, config, machine, track)]
