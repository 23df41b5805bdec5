"""Lets tensors without memory stand in for those of a device.

They are torch's meta tensors: they have shapes and no values, and every operation on them takes no
memory. They claim to be on the device that is planned for, so that a step goes the way that it
would go there. What is drawn on the CPU stays on the CPU, with its values.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sslcli.errors import SslcliError
from sslcli.text import first_line

META = torch.device("meta")
DEVICE_OF = Tensor.device.__get__
HALVED = {
    F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d,
    F.conv_transpose3d, F.bilinear, torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm,
    torch.einsum, Tensor.matmul, Tensor.mm, Tensor.bmm, Tensor.__matmul__, Tensor.__rmatmul__,
    F.scaled_dot_product_attention,
}  # fmt: skip
"""What autocast computes in half precision, on a CPU as on a CUDA device."""


@contextlib.contextmanager
def values_refused(name: str, what: str) -> Iterator[None]:
    """Raises SslcliError where `what` of `name` reads a value of a tensor that has none."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as reason:
        if "meta" not in str(reason):
            raise
        message = f"{name} cannot be planned: {what} reads a value: {first_line(reason, 200)}"
        raise SslcliError(message, f"keep values on the device within {what}") from reason


class StandIn(TorchFunctionMode):
    """Answers for a device of type `device_type`; a tensor there is a meta tensor.

    A device has the index 0. So cpu:0 is the CPU that is planned for, and cpu this process's.
    """

    def __init__(self, device_type: str, dtype: torch.dtype | None = None) -> None:
        """Takes the autocast dtype of `autocast`; None: float32."""
        super().__init__()
        self.device = torch.device(device_type, 0)
        self._dtype = dtype
        self._halves: dict[int, tuple[Tensor, Tensor]] = {}

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Casts as torch.autocast does, which knows no meta tensors."""
        kind = self.device.type
        before = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        torch.set_autocast_enabled(kind, self._dtype is not None)
        torch.set_autocast_dtype(kind, self._dtype or before[1])
        try:
            yield
        finally:
            torch.set_autocast_enabled(kind, before[0])
            torch.set_autocast_dtype(kind, before[1])
            self.forget_halves()

    def forget_halves(self) -> None:
        """Forgets the weights in half precision, as torch.clear_autocast_cache."""
        self._halves.clear()

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func == DEVICE_OF:
            told = args[0].is_meta and not _asked_by_checkpoint()
            return self.device if told else func(*args)
        if func is torch.device:
            return func(*args, **named)
        if func is Tensor.pin_memory:  # which needs a device that is here
            return args[0]
        if func is Tensor.backward:
            return self._backward(args[0], named["inputs"])
        args, named = self._elsewhere(args), {k: self._there(v) for k, v in named.items()}
        if func in HALVED and torch.is_autocast_enabled(self.device.type):
            args = tuple(self._halved(one) for one in args)
            named = {key: self._halved(one) for key, one in named.items()}
        if func is F.scaled_dot_product_attention and args[0].is_meta:
            return _attention(*args, **named)
        return func(*args, **named)

    def _backward(self, loss: Tensor, inputs: Sequence[Tensor]) -> None:
        """Runs the backward pass with this mode on: a checkpoint computes again there.

        torch's own `backward` would be handed to this mode once more.
        """
        run = torch.autograd.Variable._execution_engine.run_backward
        ones = torch.ones_like(loss)
        with self:
            run((loss,), (ones,), False, False, tuple(inputs), True, True)

    def _elsewhere(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._there(one) for one in args)

    def _there(self, given: Any) -> Any:
        """Returns the meta device in place of the one that it stands in for."""
        if not isinstance(given, torch.device | str):
            return given
        cuda = self.device.type == "cuda" and str(given).startswith("cuda")
        return META if given == self.device or cuda else given

    def _halved(self, given: Any) -> Any:
        """Returns a device's float tensor in half precision; a weight's is kept."""
        if not isinstance(given, Tensor) or not given.is_meta or not given.is_floating_point():
            return given
        dtype = torch.get_autocast_dtype(self.device.type)
        if given.dtype is dtype:
            return given
        if not (given.is_leaf and given.requires_grad):
            return given.to(dtype)
        if id(given) not in self._halves:
            self._halves[id(given)] = given, given.to(dtype)
        return self._halves[id(given)][1]


def _asked_by_checkpoint() -> bool:
    """Tells whether torch's checkpoint compares what it computes again with what it saved.

    What was saved was described without this mode.
    """
    asking = sys._getframe(2).f_code
    return asking.co_name == "_default_meta_extractor"


def _attention(queries: Tensor, keys: Tensor, values: Tensor, *more: Any, **named: Any) -> Tensor:
    """Attends as the fused kernels do, which keep no matrix of weights.

    On meta tensors torch would choose the formula, which keeps three.
    """
    fused: Callable[..., tuple[Tensor, Tensor]] = (
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    )
    dropout = more[1] if len(more) > 1 else named.pop("dropout_p", 0.0)
    causal = more[2] if len(more) > 2 else named.pop("is_causal", False)
    mask = more[0] if more else named.pop("attn_mask", None)
    mixed: Tensor = fused(queries, keys, values, dropout, causal, attn_mask=mask, **named)[0]
    return mixed
