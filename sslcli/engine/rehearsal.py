"""Takes a step of training without memory, and says what it would take.

The learner's own step runs, on tensors without values (`stand_in.py`), and what is alive is
counted (`live_memory.py`): no method has a formula of its own here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from sslcli.engine.device import Compute
from sslcli.engine.live_memory import LiveMemory, num_bytes
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.replicas import Replicas
from sslcli.engine.stand_in import META, StandIn, values_refused
from sslcli.generators import seed_generators
from sslcli.method import Learner, Progress
from sslcli.processes import as_if


@dataclass(frozen=True)
class Needs:
    """Says what a step of training needs of its device.

    `peak`: the most bytes alive at once, from the batch to the update. `held`: those alive between
    two steps: weights, what else is saved, gradients, the optimizer's state. `saved`: of them what
    a checkpoint holds. `gradients`: bytes of the gradients. `flops`: see LiveMemory.
    """

    peak: int
    held: int
    saved: int
    gradients: int
    flops: int


@dataclass(frozen=True)
class Rehearsal:
    """A learner that is rehearsed: its networks without memory, in place of the CPU's."""

    learner: Learner[Any, Any]
    optim: OptimConfig
    device_type: str
    dtype: torch.dtype | None
    num_steps: int
    steps_per_epoch: int
    processes: int = 1
    """How many train together, gather rows, and average their gradients in buckets."""

    @classmethod
    def of(
        cls,
        learner: Learner[Any, Any],
        optim: OptimConfig,
        compute: Compute,
        num_steps: int,
        steps_per_epoch: int,
    ) -> Rehearsal:
        """Takes the learner's memory: it is not to be used for anything else."""
        _networks(learner).to(META).to(memory_format=torch.channels_last)
        nn.ModuleDict(learner.modules()).train()
        kind = compute.device.type
        return cls(learner, optim, kind, compute.dtype, num_steps, steps_per_epoch)

    def needs(self, batch: Callable[[torch.device], Any]) -> Needs:
        """Returns what the first step and the last one need; `batch` makes one on a device.

        Raises SslcliError where the step reads a value, which there is none of.
        """
        with values_refused(type(self.learner).__name__, "a step"):
            return self._rehearsed(batch)

    def _rehearsed(self, batch: Callable[[torch.device], Any]) -> Needs:
        learner = copy.deepcopy(self.learner)
        stand_in, memory = StandIn(self.device_type, self.dtype), LiveMemory()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # views are made in threads, which would not be seen
        try:
            with stand_in, memory, as_if(self.processes):
                return self._steps(learner, stand_in, memory, batch(META))
        finally:
            torch.set_num_threads(threads)

    def _steps(
        self, learner: Learner[Any, Any], stand_in: StandIn, memory: LiveMemory, batch: Any
    ) -> Needs:
        modules = nn.ModuleDict(learner.modules())
        for tensor in (*modules.parameters(), *modules.buffers()):
            memory.hold(tensor)
        own = memory.now
        for tensor in (*_networks(learner).parameters(), *_networks(learner).buffers()):
            memory.hold(tensor)
        beside = memory.now - own
        minimize = _Unwatched.of(
            learner,
            self.optim,
            Compute(stand_in.device, None),
            lambda _: 0.1,
            replicas=_Buckets() if self.processes > 1 else None,
        )
        for step in dict.fromkeys((0, self.num_steps - 1)):
            memory.flops = 0
            seed_generators(0)
            minimize.begin(step)
            views = learner.views(batch)
            with stand_in.autocast():
                progress = Progress(step, self.num_steps, self.steps_per_epoch)
                learner.train_step(views, minimize, progress)
            minimize.end()
            stand_in.forget_halves()
            del views
        gradients = num_bytes([p.grad for p in modules.parameters() if p.grad is not None])
        held = memory.now - num_bytes(tree_leaves(batch))
        return Needs(
            peak=memory.peak,
            held=held,
            saved=held - gradients - beside,
            gradients=gradients,
            flops=memory.flops,
        )


def _networks(learner: Learner[Any, Any]) -> nn.ModuleList:
    """Returns what the learner trains, and the encoder of which that may be a part."""
    encoder = getattr(learner, "encoder", None)
    beside = [encoder] if isinstance(encoder, nn.Module) else []
    return nn.ModuleList([*learner.modules().values(), *beside])


class _Unwatched(Minimizer):
    """Minimises without looking at the losses, which have no values."""

    def check_finite(self) -> None:
        """Does nothing."""


class _Buckets(Replicas):
    """Holds the gradients in memory that stays, from a player's first backward pass on.

    torch's DistributedDataParallel does: a gradient is copied there as soon as it is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buckets: dict[int, Tensor] = {}

    def backward(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> None:
        for parameter in inputs:
            if id(parameter) not in self._buckets:
                self._buckets[id(parameter)] = torch.empty_like(parameter)
                parameter.register_post_accumulate_grad_hook(self._keep)  # type: ignore[no-untyped-call]
        super().backward(loss, inputs)

    def _averaging_loss(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> Tensor:
        return loss

    def _keep(self, parameter: Tensor) -> None:
        parameter.grad = self._buckets[id(parameter)]
