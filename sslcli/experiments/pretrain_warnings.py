"""Says before the first step what a pretraining should be known by, and what may go wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslcli import processes
from sslcli.experiments.pretrain_config import Config
from sslcli.experiments.session import Session, warn_of_other_range
from sslcli.method import Learner, Method, Normal
from sslcli.nets.frozen import Frozen
from sslcli.nets.teacher import Teacher

if TYPE_CHECKING:
    from sslcli.console import Console


def size_in_words(
    learner: Learner[Any, Any],
    encoder: nn.Module,
    num_steps: int,
    in_epoch: int,
    batch_size: int,
) -> str:
    """Says how long a training is, and how large its networks are."""
    of_all, of_encoder = (
        sum(parameter.numel() for parameter in part.parameters())
        for part in (nn.ModuleDict(learner.modules()), encoder)
    )
    return (
        f"{num_steps:,} steps of {batch_size} pictures, {in_epoch:,} an epoch; "
        f"{of_all:,} parameters, {of_encoder:,} of them the encoder's"
    )


def say_normal(normal: Normal, console: Console) -> None:
    """Says what the loss is where nothing was learned, as far as that is known."""
    known = [f"{value:.3g} {name}" for name, value in normal._asdict().items() if value is not None]
    if known:
        console.say(f"the loss is {' and '.join(known)}")


def warn_of_known_failure(config: Config, console: Console) -> None:
    """Warns, before the first step, where method and batch are known to fail together."""
    said = config.method.known_to_fail(config.batch_size)
    if said is not None:
        console.warn(said)


def warn_of_teachers_range(method: Method, session: Session) -> None:
    """Warns where a teacher knows other values of the files as black and white."""
    for module in method.modules().values():
        if isinstance(module, Frozen) and isinstance(module.network, Teacher):
            warn_of_other_range(session, module.network.fed, "teacher")


def warn_of_wide_code(config: Config, method: Method, console: Console) -> None:
    """Warns where the code has more values than the picture."""
    units, shape = config.encoder.bottleneck, method.preprocessing
    num_inputs = shape.channels * shape.resolution**2
    num_codes = math.prod(method.encoder.code_shape)
    if units is not None and num_codes > num_inputs:
        places = f", {num_codes} numbers in all," if num_codes != units else ""
        console.warn(
            f"encoder.bottleneck={units}{places} is wider than the picture's {num_inputs} "
            "values: nothing is compressed"
        )


def warn_of_own_statistics(method: Method, console: Console) -> None:
    """Warns of parts whose batch norms share no statistics among the processes."""
    if processes.size() == 1:
        return
    own = [
        name
        for name, part in method.modules().items()
        if part not in method.whole_batch_parts() and any(map(_is_own_norm, part.modules()))
    ]
    if own:
        instead = "; encoder.norm=group, where there is that choice, has none"
        console.warn(
            f"batch norm ({', '.join(own)}) takes the statistics of each process's own pictures: "
            f"results are not those of one process{instead if 'encoder' in own else ''}"
        )


def _is_own_norm(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm)
