"""Connects the processes of one training, which torchrun or srun started.

Gradients and weights aside (`engine/replicas.py`, `engine/shards.py`), the only module that uses
torch.distributed. Rank r of W processes holds rows r·N … (r+1)·N of the global batch of W·N rows.
In a run of one process, the usual case, every function here returns what it was given. Importing
this module does not import torch.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sslcli.errors import RunFailed, SslcliError
from sslcli.text import first_line

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

FIRST_PORT, NUM_PORTS, NUM_STEPS = 20_000, 12_000, 16
"""Ports for processes that srun starts, below the range that systems assign by themselves.

Each Slurm job has NUM_STEPS of them, so that the job steps of two jobs in a row use different ones.
"""

RENDEZVOUS_TIMEOUT = timedelta(minutes=5)
"""How long a process waits for the others: importing torch may take a minute or two elsewhere."""

_as_if: int | None = None
"""How many processes there seem to be, of which this is the first; None: those that are joined."""


@dataclass(frozen=True)
class Launch:
    """Holds a process's rank among `size` processes, as the launcher set them.

    `local`: its rank among the processes of its machine.
    """

    rank: int
    size: int
    local: int


def launched_as(environment: Mapping[str, str] = os.environ) -> Launch:
    """Returns the rank and size of torchrun or srun; rank 0 of 1 without a launcher."""
    if int(environment.get("WORLD_SIZE", "1")) > 1:
        missing = [key for key in ("RANK", "LOCAL_RANK") if key not in environment]
        if missing:
            message = (
                f"WORLD_SIZE says that {environment['WORLD_SIZE']} processes were started, "
                f"and {missing[0]} is not set"
            )
            raise SslcliError(message, "start them with torchrun or srun, or unset WORLD_SIZE")
        return Launch(*(int(environment[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "SLURM_PROCID" in environment:
        return Launch(
            *(
                int(environment[key])
                for key in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
            )
        )
    return Launch(0, 1, 0)


def rendezvous_address(environment: Mapping[str, str] = os.environ) -> str:
    """Returns the URL at which the processes meet, for torch.distributed.

    `env://` where MASTER_ADDR and MASTER_PORT are set, as torchrun does. Under srun, which sets
    neither: the first machine of the job step, at a port computed from the job's and step's
    numbers. Raises SslcliError where Slurm does not name that machine.
    """
    if {"MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return "env://"
    machines = _machines(environment.get("SLURM_STEP_NODELIST", ""))
    if not machines:
        message = (
            "srun started several processes, and Slurm does not say where they meet: "
            "scontrol names no machine"
        )
        raise SslcliError(
            message, "export MASTER_ADDR=<the first machine> MASTER_PORT=29500 before srun"
        )
    job, step = (int(environment.get(key, "0")) for key in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return f"tcp://{machines[0]}:{FIRST_PORT + (NUM_STEPS * job + step) % NUM_PORTS}"


def _machines(nodes: str) -> list[str]:
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def num_sharing_cores(environment: Mapping[str, str] = os.environ) -> int:
    """Returns how many processes of torchrun share this machine's cores.

    1 under srun, where Slurm assigns cores to each task and the system reports only those.
    """
    return int(environment.get("LOCAL_WORLD_SIZE", "1"))


def launched_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Returns the launcher's rank, known before `join` too; 0 without a launcher.

    Unlike `launched_as` it never raises, so that the error handler can use it.
    """
    return int(environment.get("RANK", environment.get("SLURM_PROCID", "0")))


def join(device_type: str) -> None:
    """Connects the processes: NCCL sends CUDA tensors, gloo all others.

    One process alone does nothing. Raises RunFailed where they do not find each other within
    RENDEZVOUS_TIMEOUT.
    """
    here = launched_as()
    if here.size == 1:
        return
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    where = rendezvous_address()
    try:
        store, _, _ = next(rendezvous(where, here.rank, here.size, timeout=RENDEZVOUS_TIMEOUT))
    except (RuntimeError, ValueError, OSError) as reason:
        if where == "env://":
            where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        message = (
            f"process {here.rank} did not find the {here.size - 1} others at {where}: "
            f"{first_line(reason)}"
        )
        fix = "an earlier message may tell why; else check the address, "
        fix += "and that its port is free and not blocked"
        raise RunFailed(message, fix) from reason
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo",
        store=store,
        rank=here.rank,
        world_size=here.size,
        # The other ranks wait while rank 0 downloads, decodes or evaluates.
        timeout=timedelta(days=1),
    )


def leave() -> None:
    """Disconnects this process from the others."""
    if _is_joined():
        _distributed().destroy_process_group()


@contextlib.contextmanager
def name_lost_processes() -> Iterator[None]:
    """Raises RunFailed, not torch's connection error, where another process has ended."""
    try:
        yield
    except RuntimeError as reason:  # torch has no narrower type for it
        if size() == 1 or not any(
            word in str(reason) for word in ("onnection", "gloo", "NCCL", "peer")
        ):
            raise
        message = (
            f"process {rank()} has lost the others of the {size()} of this run "
            f"({first_line(reason)})"
        )
        fix = "where one of them ended, its own message tells why; "
        fix += "then start them again with `sslcli resume`"
        raise RunFailed(message, fix) from reason


@contextlib.contextmanager
def as_if(num: int) -> Iterator[None]:
    """Makes `size()` `num` inside, and sends nothing: rows of others are there, without values.

    1 is for work of one rank while the other ranks wait.
    """
    global _as_if
    before, _as_if = _as_if, num
    try:
        yield
    finally:
        _as_if = before


def size() -> int:
    """Returns the number of processes: 1 before `join`, `num` inside `as_if`."""
    return _as_if or (_distributed().get_world_size() if _is_joined() else 1)


def rank() -> int:
    """Returns this process's rank among the connected processes."""
    return _distributed().get_rank() if _is_joined() else 0


def own_rows(draw: Callable[[int], T], num: int, groups: int = 1) -> T:
    """Returns this rank's rows of `draw(number of rows)`, drawn for all ranks.

    The ranks share a seed, so a picture's views do not depend on the number of processes. `num`:
    pictures of this rank; each has one row in every one of `groups` consecutive groups.
    """
    world_size = size()
    drawn = draw(groups * world_size * num)
    if world_size == 1:
        return drawn
    if groups == 1:  # a slice, which makes no device wait
        return drawn[rank() * num : (rank() + 1) * num]  # type: ignore[index, no-any-return]
    import torch

    here = torch.arange(rank() * num, (rank() + 1) * num)
    rows = torch.cat([group * world_size * num + here for group in range(groups)])
    return drawn[rows]  # type: ignore[index, no-any-return]


def gathered(rows: Tensor, groups: int = 1) -> Tensor:
    """Gathers the rows of all ranks, with gradient: (V·N, …) on each -> (V·W·N, …).

    The V = `groups` groups stay in order, and within a group the ranks. Every rank then computes
    the same loss of all rows, so no gradient has to be sent back: a rank's gradient is W times that
    of its own rows, and the mean over ranks, which the backward pass takes, is the loss's gradient.
    """
    num = size()
    if num == 1:
        return rows
    import torch

    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(num)]
    if _is_joined():
        _distributed().all_gather(parts, rows.detach().contiguous())
    own = rows.view_as(rows)
    if own.requires_grad:
        own.register_hook(lambda gradient: num * gradient)  # type: ignore[no-untyped-call]
    parts[rank()] = own
    by_group = zip(*(part.chunk(groups) for part in parts), strict=True)
    return torch.cat([torch.cat(group) for group in by_group])


def average_(tensors: list[Tensor]) -> None:
    """Replaces each tensor by its mean over all ranks."""
    if not _is_joined() or not tensors:
        return
    import torch

    flat = torch.cat([tensor.flatten() for tensor in tensors])
    _distributed().all_reduce(flat)
    flat /= size()
    for tensor, mean in zip(
        tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True
    ):
        tensor.copy_(mean.view_as(tensor))


def largest(number: int) -> int:
    """Returns the largest number of all ranks, which wait for each other.

    They do not wait for their devices.
    """
    if not _is_joined():
        return number
    import torch

    maximum = torch.tensor(number)
    _distributed().all_reduce(maximum, op=_distributed().ReduceOp.MAX)
    return int(maximum)


def from_first(value: T) -> T:
    """Returns rank 0's value on every rank; the other ranks wait for it."""
    if not _is_joined():
        return value
    box: list[Any] = [value]
    _distributed().broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[no-any-return]


def _is_joined() -> bool:
    # Before torch.distributed is imported no process can have joined; help must not import torch.
    if _as_if is not None or "torch.distributed" not in sys.modules:
        return False
    distributed = _distributed()
    return bool(
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _distributed() -> Any:
    from torch import distributed

    return distributed
