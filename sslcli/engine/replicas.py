"""Averages gradients over the processes while the backward pass computes them.

By torch's DistributedDataParallel, which sends a bucket of gradients as soon as all of it is
there. It expects to wrap a network's `forward`; a method calls several networks, and has several
losses. So what is wrapped is the loss: a module that holds the parameters which the loss reaches,
and whose `forward` returns the loss.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from sslcli.processes import size

BUCKET_MB = 4.0
"""MiB of gradients sent together; when the backward pass ends, only the last bucket is left."""


class Replicas:
    """Holds all weights in every process (runtime.parallel=replicate), and averages gradients.

    One process alone runs torch's backward pass, and no more.
    """

    def __init__(self) -> None:
        self._averaging: dict[tuple[int, ...], DistributedDataParallel] = {}

    def backward(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> None:
        """Gives the `inputs`, and nothing else, their gradients; None where the loss has none.

        The gradients are the mean over all processes, which must reach the same inputs.
        """
        self._averaging_loss(loss, inputs).backward(inputs=inputs)  # type: ignore[no-untyped-call]

    def clip(self, parameters: Sequence[nn.Parameter], norm: float) -> None:
        """Scales the gradients of all parameters down to a norm, where it is exceeded."""
        nn.utils.clip_grad_norm_(parameters, norm)

    def adapt(self, optimizer: Optimizer) -> None:
        """Prepares an optimizer for what its parameters are here."""

    def whole(self, state: Any) -> Any:
        """Returns a state as one process would have it; all processes call it together."""
        return state

    def own(self, whole: Mapping[Any, Any], here: Mapping[Any, Any]) -> dict[Any, Any]:
        """Returns this process's part of a whole state; `here` has the form of the part.

        That is also the form in memory: fused optimizers go through a weight and what they remember
        of it in the order of their memory, whatever their strides say.
        """
        return {key: self._formed(value, here.get(key)) for key, value in whole.items()}

    def show(self) -> None:
        """Puts the weights of now where rank 0 evaluates them; all processes call it together."""

    def shown(self) -> contextlib.AbstractContextManager[object]:
        """Does what `show` does, inside; outside, nobody may read them."""
        return contextlib.nullcontext()

    def name_mixing(self) -> contextlib.AbstractContextManager[object]:
        """Names what a method does that cannot be done here."""
        return contextlib.nullcontext()

    def _formed(self, value: Any, here: Any) -> Any:
        """Returns a value of a whole state in the form of a tensor of the same shape here."""
        both = isinstance(value, Tensor) and isinstance(here, Tensor)
        if not both or value.shape != here.shape:
            return value
        return torch.empty_like(here, dtype=value.dtype).copy_(value)

    def _averaging_loss(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> Tensor:
        """Returns the loss, whose backward pass averages the gradients of the inputs."""
        reached = reached_by(loss, inputs) if size() > 1 else []
        return self._averaged(reached)(loss) if reached else loss

    def _averaged(self, reached: Sequence[nn.Parameter]) -> DistributedDataParallel:
        """Returns the wrapper for these parameters, which lasts: its buckets are memory.

        It copies no weights from the first process (`init_sync`), as those must not change between
        a forward pass and its backward pass. They are equal, as all processes draw alike.
        """
        key = tuple(map(id, reached))
        if key not in self._averaging:
            self._averaging[key] = DistributedDataParallel(
                _Loss(reached),
                init_sync=False,
                bucket_cap_mb=BUCKET_MB,
                gradient_as_bucket_view=True,
            )
        return self._averaging[key]


class _Loss(nn.Module):
    """Holds the parameters that a loss reaches; called, it returns the loss."""

    def __init__(self, reached: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.reached = nn.ParameterList(reached)

    def forward(self, loss: Tensor) -> Tensor:
        return loss


def reached_by(loss: Tensor, inputs: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """Returns those of the inputs that the loss was computed from, in their order.

    It walks over the graph in every step: a wrapper that waited for a parameter without a gradient
    would leave its whole bucket as it is on this process, and say so only one step later.
    """
    leaves: set[int] = set()
    seen = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return [parameter for parameter in inputs if id(parameter) in leaves]
