"""Counts the memory that tensors would take, and the work of their operations."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

IN_PLACE = {
    torch.ops.aten._fused_sgd_,
    torch.ops.aten._fused_adam_,
    torch.ops.aten._fused_adamw_,
    torch.ops.aten._fused_adagrad_,
}
"""Updates that change their tensors and make none; some lack a kernel for meta tensors."""

COMPOSED = {torch.ops.aten.binary_cross_entropy_with_logits}
"""Operations that are made of others, whose results only their own kernel sees."""


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of meta tensors that are alive, and their operations.

    Views share a storage, which counts once, from the operation that made it until nothing holds
    it: what autograd keeps for the backward pass too. `flops`: a multiplication and an addition
    are two; only matrix products, convolutions and attention count. What a kernel takes for itself
    while it runs is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.flops = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch would import its compiler, which takes seconds

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func._overloadpacket in IN_PLACE:
            return None
        made = self._made(func, args, named)
        for tensor in tree_leaves(made):
            self.hold(tensor)
        work = flop_registry.get(func._overloadpacket)
        if work is not None:
            self.flops += work(*args, **named, out_val=made)
        return made

    def _made(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if func._overloadpacket not in COMPOSED:
            return func(*args, **named)
        with self:  # what it is made of comes here too
            return func._op_dk(torch._C.DispatchKey.CompositeExplicitAutograd, *args, **named)

    def hold(self, tensor: object) -> None:
        """Counts a meta tensor's storage from now on; others are not counted."""
        if not isinstance(tensor, Tensor) or not tensor.is_meta:
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return

        def gone(_: object) -> None:
            del self._alive[key]
            self.now -= size

        self._alive[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def num_bytes(tensors: Sequence[Tensor]) -> int:
    """Returns the bytes of the tensors' values."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
