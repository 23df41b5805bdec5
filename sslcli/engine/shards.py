"""Shares large weights out among the processes, by torch's fully_shard (FSDP2).

A process keeps its part of every large layer's weights, of their gradients and of what the
optimizer remembers of them. A layer's weights are gathered when it is called and when its gradient
is computed, and let go after each.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from sslcli.engine.replicas import Replicas
from sslcli.errors import SslcliError
from sslcli.method import Learner
from sslcli.nets.prototypes import Prototypes
from sslcli.processes import rank, size

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

LAYERS = {
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose2d,
    nn.Embedding,
    Prototypes,
}
"""Layers whose weights are used by calling them, and in no other way; not their subclasses."""
UNGATHERED = {
    "mixed torch.Tensor and DTensor": "reads weights of a layer without calling it",
    "for storage of size 0": "takes the gradient of a gradient through a layer",
}
"""Words of torch's errors, and what a method does where they come."""
LARGE = 2**16
"""Fewest weights of a layer that is shared out: each costs three messages a step."""


class Shards(Replicas):
    """Trains a copy of a learner whose large layers are shared out (runtime.parallel=shard).

    The given learner is what evaluations look at, and what is written at the end. Its large weights
    are empty but after `show`, on rank 0. All other parameters are replicas, and averaged as such.
    """

    def __init__(self, learner: Learner[Any, Any], large: int = LARGE) -> None:
        super().__init__()
        self._name = type(learner).__name__
        self._seen = nn.ModuleDict(learner.modules())
        self.learner = copy.deepcopy(learner)
        self._trained = nn.ModuleDict(self.learner.modules())
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard  # half a second, as DTensor

        device = next(self._trained.parameters()).device.type
        mesh = init_device_mesh(device, (size(),))
        for layer in large_layers(self._trained, large):
            layer.to(memory_format=torch.contiguous_format)  # FSDP2 takes no other
            layer.register_forward_hook(_not_a_view)
            fully_shard(layer, mesh=mesh, reshard_after_forward=True)
        self._look(whole=False)

    def backward(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> None:
        """See Replicas.

        The weights that FSDP2 gathers are not those of the optimizer, so torch cannot be told to
        leave out the others' gradients. These are computed, and thrown away.
        """
        whole = [parameter for parameter in inputs if not _is_shared(parameter)]
        self._averaging_loss(loss, whole).backward()  # type: ignore[no-untyped-call]
        chosen = set(map(id, inputs))
        for parameter in self._trained.parameters():
            if id(parameter) not in chosen:
                parameter.grad = None

    def clip(self, parameters: Sequence[nn.Parameter], norm: float) -> None:
        """See Replicas. torch's own function takes no mixture of both kinds."""
        graded = [parameter for parameter in parameters if parameter.grad is not None]
        kinds = [
            [parameter for parameter in graded if _is_shared(parameter) is shared]
            for shared in (True, False)
        ]
        norms = [
            _full(nn.utils.get_total_norm([p.grad for p in kind if p.grad is not None]))
            for kind in kinds
            if kind
        ]
        total = torch.linalg.vector_norm(torch.stack(norms))
        for kind in kinds:
            nn.utils.clip_grads_with_norm_(kind, norm, total)

    def adapt(self, optimizer: Optimizer) -> None:
        """Chooses torch's plain loop: the faster ones take no weights that are shared out."""
        for group in optimizer.param_groups:
            group.update({how: False for how in ("fused", "foreach") if how in group})

    def whole(self, state: Any) -> Any:
        return tree_map(_full, state)

    def show(self) -> None:
        self._look(whole=True)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        self.show()
        yield
        self._look(whole=False)

    @contextlib.contextmanager
    def name_mixing(self) -> Iterator[None]:
        """Raises SslcliError where a method needs a layer's weights when they are not gathered.

        It reads them without calling the layer, or takes the gradient of a gradient.
        """
        try:
            yield
        except RuntimeError as reason:  # torch has no narrower type for it
            found = [said for mark, said in UNGATHERED.items() if mark in str(reason)]
            if not found:
                raise
            message = f"{self._name} {found[0]}, which needs all"
            raise SslcliError(message, "runtime.parallel=replicate") from reason

    def _formed(self, value: Any, here: Any) -> Any:
        """See Replicas: of a layer that is shared out, its part."""
        if not _is_shared(here) or not isinstance(value, Tensor) or value.shape != here.shape:
            return value if _is_shared(here) else super()._formed(value, here)
        from torch.distributed.tensor import distribute_tensor

        given = value.to(here.device).contiguous()
        return distribute_tensor(given, here.device_mesh, here.placements, src_data_rank=None)

    @torch.no_grad()
    def _look(self, whole: bool) -> None:
        """Puts the trained tensors in the place of those that are seen; shared ones if `whole`.

        What is not shared out is the same memory in both.
        """
        trained = dict(_tensors(self._trained))
        for name, seen in _tensors(self._seen):
            own = trained[name]
            if _is_shared(own):
                gathered = own.full_tensor() if whole else None
                seen.data = seen.new_empty(0) if gathered is None or rank() else gathered
            else:
                seen.data = own.data


def large_layers(network: nn.Module, large: int = LARGE) -> list[nn.Module]:
    """Returns the layers that are shared out: with at least so many weights of their own.

    Not those that another module holds outside its submodules, as a tied decoder does to read
    their weights.
    """
    modules = list(network.modules())
    borrowed = {
        id(one)
        for module in modules
        for value in vars(module).values()
        if isinstance(value, tuple | list)
        for one in value
        if isinstance(one, nn.Module)
    }
    weights = {
        layer: cast(Tensor, layer.weight)
        for layer in modules
        if type(layer) in LAYERS and id(layer) not in borrowed
    }
    holders = Counter(map(id, weights.values()))
    return [
        layer
        for layer, weight in weights.items()
        if holders[id(weight)] == 1 and weight.numel() >= large
    ]


def _tensors(network: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _not_a_view(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    """Returns a layer's output, copied where it is a view.

    FSDP2 would not notice the gradient of a view that the next layer changes in place.
    """
    return output.clone() if output.requires_grad and output._is_view() else output


def _is_shared(value: object) -> TypeGuard[DTensor]:
    """Tells whether a value is a tensor of which every process holds a part."""
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def _full(value: Any) -> Any:
    return value.full_tensor() if _is_shared(value) else value
