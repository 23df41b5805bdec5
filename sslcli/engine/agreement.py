"""Tells where the state of a training differs between its processes."""

from __future__ import annotations

import hashlib

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslcli import processes
from sslcli.errors import RunFailed


def require_agreement(method: str, modules: nn.Module) -> None:
    """Raises RunFailed where a buffer is not the same in all processes.

    Only the first process's are saved, so a resumed run would go on as another. Not looked at are
    batch norm's statistics: they are each process's own, of which a run warns when it starts.
    Weights are equal where buffers are, as all processes take the same steps.
    """
    if processes.size() == 1:
        return
    own = _hashes(modules)
    names = sorted(own)
    first = processes.from_first(own)
    different = [place for place, name in enumerate(names, 1) if own[name] != first[name]]
    place = processes.largest(max(different, default=0))
    if place:
        message = (
            f"{method}: the buffer {names[place - 1]} is not the same "
            f"in the {processes.size()} processes"
        )
        fix = "compute it of the rows of all: gathered(rows), as nets.Queue and nets.RunningMean do"
        raise RunFailed(message, fix)


def _hashes(modules: nn.Module) -> dict[str, str]:
    hashes = {}
    for prefix, module in modules.named_modules():
        if isinstance(module, _BatchNorm):
            continue
        unsaved = module._non_persistent_buffers_set
        for name, buffer in module.named_buffers(recurse=False):
            if name not in unsaved:
                values = buffer.detach().cpu().contiguous().flatten().view(torch.uint8)
                hashes[f"{prefix}.{name}"] = hashlib.sha256(values.numpy().tobytes()).hexdigest()
    return hashes
