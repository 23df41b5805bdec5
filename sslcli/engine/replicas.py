"""Averages gradients over the processes while the backward pass computes them.

By torch's DistributedDataParallel, which sends a bucket of gradients as soon as all of it is
there. It expects to wrap a network's `forward`; a method calls several networks, and has several
losses. So what is wrapped is the loss: a module that holds the parameters which the loss reaches,
and whose `forward` returns the loss.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sslcli.processes import size

BUCKET_MB = 4.0
"""MiB of gradients sent together; what is left when the backward pass ends is at most one bucket."""


class Replicas:
    """Runs backward passes whose gradients are the mean over all processes.

    Every process holds all weights. One process alone runs torch's backward pass, and no more.
    """

    def __init__(self) -> None:
        self._averaging: dict[tuple[int, ...], DistributedDataParallel] = {}

    def backward(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> None:
        """Gives the `inputs`, and nothing else, their gradients; None where the loss has none.

        All processes must reach the same of them.
        """
        reached = _reached(loss, inputs) if size() > 1 else []
        if reached:
            loss = self._averaged(reached)(loss)
        loss.backward(inputs=inputs)  # type: ignore[no-untyped-call]

    def _averaged(self, reached: Sequence[nn.Parameter]) -> DistributedDataParallel:
        """Returns the wrapper for these parameters, which lasts: its buckets are memory.

        It copies no weights from the first process (`init_sync`), as those must not change between
        a forward pass and its backward pass. They are equal, as all processes draw alike.
        """
        key = tuple(map(id, reached))
        if key not in self._averaging:
            self._averaging[key] = DistributedDataParallel(
                _Loss(reached), init_sync=False, bucket_cap_mb=BUCKET_MB, gradient_as_bucket_view=True
            )
        return self._averaging[key]


class _Loss(nn.Module):
    """Holds the parameters that a loss reaches; called, it returns the loss."""

    def __init__(self, reached: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.reached = nn.ParameterList(reached)

    def forward(self, loss: Tensor) -> Tensor:
        return loss


def _reached(loss: Tensor, inputs: Sequence[nn.Parameter]) -> list[nn.Parameter]:
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
