"""The processes that train one model together, as torchrun or srun started them: the only place that knows torch.distributed.

Each holds the rows of the global batch at its rank: rank r of W has rows r·N … (r+1)·N of W·N. With one process, which is what
most runs are, every function here gives back what it was given. Importing this does not import torch.
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
"""Of the processes that srun starts: below the ports that systems give out by themselves; so many steps of a job before two
jobs in a row could meet at one."""

FOUND_WITHIN = timedelta(minutes=5)
"""From when one process is ready until the last must be: importing torch on another machine may take a minute or two."""

_alone = False


@dataclass(frozen=True)
class Place:
    """One process among `size`; `local` counts those of its machine."""

    rank: int
    size: int
    local: int


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Where torchrun, or srun, put this process; the only one where neither did."""
    if int(environment.get("WORLD_SIZE", "1")) > 1:
        missing = [key for key in ("RANK", "LOCAL_RANK") if key not in environment]
        if missing:
            message = f"WORLD_SIZE says that {environment['WORLD_SIZE']} processes were started, and {missing[0]} is not set"
            raise SslcliError(message, "start them with torchrun or srun, or unset WORLD_SIZE")
        return Place(*(int(environment[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "SLURM_PROCID" in environment:
        return Place(
            *(
                int(environment[key])
                for key in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
            )
        )
    return Place(0, 1, 0)


def meeting_place(environment: Mapping[str, str] = os.environ) -> str:
    """Where the processes find each other, as torch.distributed is told it: where MASTER_ADDR and MASTER_PORT say, which
    torchrun sets; under srun, which does not, the first machine of the job's step, at a port made of their numbers.

    Raises SslcliError where Slurm does not say which machine that is.
    """
    if {"MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return "env://"
    asked = ["scontrol", "show", "hostnames", environment.get("SLURM_STEP_NODELIST", "")]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        found = []
    if not found:
        message = "srun started several processes, and Slurm does not say where they meet: scontrol names no machine"
        raise SslcliError(
            message, "export MASTER_ADDR=<the first machine> MASTER_PORT=29500 before srun"
        )
    job, step = (int(environment.get(key, "0")) for key in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return f"tcp://{found[0]}:{FIRST_PORT + (NUM_STEPS * job + step) % NUM_PORTS}"


def num_sharing_cores(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun started on this machine, all of which may use every core. 1 under srun: which cores a task
    may use is for Slurm to say, and the system then tells."""
    return int(environment.get("LOCAL_WORLD_SIZE", "1"))


def rank_told(environment: Mapping[str, str] = os.environ) -> int:
    """This process's rank, as it was told, before they are joined too; 0 where nobody told it."""
    return int(environment.get("RANK", environment.get("SLURM_PROCID", "0")))


def join(device_type: str) -> None:
    """Makes the processes one group: what is on CUDA devices is sent by NCCL, all else by gloo; nothing for a single one.

    Raises RunFailed where they do not find each other within FOUND_WITHIN.
    """
    here = place()
    if here.size == 1:
        return
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    where = meeting_place()
    try:
        store, _, _ = next(rendezvous(where, here.rank, here.size, timeout=FOUND_WITHIN))
    except (RuntimeError, ValueError, OSError) as reason:
        if where == "env://":
            where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        message = f"process {here.rank} did not find the {here.size - 1} others at {where}: {first_line(reason)}"
        fix = "an earlier message may tell why; else see to the address, and that its port is free and not blocked"
        raise RunFailed(message, fix) from reason
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo",
        store=store,
        rank=here.rank,
        world_size=here.size,
        timeout=timedelta(
            days=1
        ),  # the others wait while the first downloads, decodes or evaluates
    )


def leave() -> None:
    """From here on each process is on its own."""
    if _together():
        _distributed().destroy_process_group()


@contextlib.contextmanager
def losing_none() -> Iterator[None]:
    """Raises RunFailed where another process has ended, in place of what the broken connection is called."""
    try:
        yield
    except RuntimeError as reason:  # torch has no narrower type for it
        if size() == 1 or not any(
            word in str(reason) for word in ("onnection", "gloo", "NCCL", "peer")
        ):
            raise
        message = f"process {rank()} has lost the others of the {size()} of this run ({first_line(reason)})"
        fix = "where one of them ended, its own message tells why; then start them again with `sslcli resume`"
        raise RunFailed(message, fix) from reason


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Inside, this process acts as if it were the only one: for what one of them does while the others wait."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def size() -> int:
    return _distributed().get_world_size() if _together() else 1


def rank() -> int:
    return _distributed().get_rank() if _together() else 0


def own_rows(draw: Callable[[int], T], num: int, groups: int = 1) -> T:
    """This process's rows of `draw(number of rows)`, drawn for the pictures of all processes, whose seeds agree: so a picture's
    views are the same however many processes there are. `num`: pictures here; there are `groups` rows each, group by group."""
    everyone = size()
    drawn = draw(groups * everyone * num)
    if everyone == 1:
        return drawn
    if groups == 1:  # a slice, which makes no device wait
        return drawn[rank() * num : (rank() + 1) * num]  # type: ignore[index, no-any-return]
    import torch

    here = torch.arange(rank() * num, (rank() + 1) * num)
    rows = torch.cat([group * everyone * num + here for group in range(groups)])
    return drawn[rows]  # type: ignore[index, no-any-return]


def gathered(rows: Tensor, groups: int = 1) -> Tensor:
    """(V·N, …) of every process -> (V·W·N, …), in every process, with gradient; group by group, and by rank in each of the V.

    Every process then computes the same loss of all rows, so nothing has to be sent back: the gradient here is W times the part
    of its own rows, and the mean over processes, which `minimize` takes of every gradient, is the gradient.
    """
    num = size()
    if num == 1:
        return rows
    import torch

    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(num)]
    _distributed().all_gather(parts, rows.detach().contiguous())
    own = rows.view_as(rows)
    if own.requires_grad:
        own.register_hook(lambda gradient: num * gradient)  # type: ignore[no-untyped-call]
    parts[rank()] = own
    return torch.cat(
        [torch.cat(group) for group in zip(*(part.chunk(groups) for part in parts), strict=True)]
    )


def average_(tensors: list[Tensor]) -> None:
    """Replaces each tensor by its mean over the processes."""
    if not _together() or not tensors:
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
    """The largest of the processes' numbers. They wait for each other, but not for what their devices still have to do."""
    if not _together():
        return number
    import torch

    found = torch.tensor(number)
    _distributed().all_reduce(found, op=_distributed().ReduceOp.MAX)
    return int(found)


def from_first(value: T) -> T:
    """What process 0 has; the others wait for it."""
    if not _together():
        return value
    box: list[Any] = [value]
    _distributed().broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[no-any-return]


def _together() -> bool:
    # Without torch.distributed imported nobody can have joined: help and errors need not pay for it.
    if _alone or "torch.distributed" not in sys.modules:
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
