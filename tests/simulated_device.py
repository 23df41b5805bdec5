"""An accelerator simulated on the CPU, for tests: `sim`, of torch's Python backend for PrivateUse1 (torch 2.9 and later).

Its tensors wrap tensors on the CPU, and every operation on them comes by here. Where one meets a tensor on the CPU that is no
number, `Mixed` is raised, as on a GPU; what makes the host wait for a device is counted by file and line, and inside
`no_waits` raises `Waited`. It says nothing of a GPU's kernels, precision, streams, memory or speed.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = (
    "aten._local_scalar_dense", "aten.nonzero", "aten.equal.", "aten.is_nonzero", "aten.masked_select",
    "aten._unique", "aten.unique", "aten.item", "aten.bincount", "aten._assert_async",
)  # fmt: skip
"""Operations whose result the host, or the size of a tensor, needs."""


class Mixed(RuntimeError):
    """A tensor on the device meets one on the CPU."""


class Waited(RuntimeError):
    """The host waits for the device where it must not."""


class Waits:
    """Counts the host's waits by the line of sslcli that asks; `forbidden`: raises `Waited` there."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.forbidden = False

    @property
    def total(self) -> int:
        return self.counts.total()

    def note(self, what: str) -> None:
        where = asked_at()
        if self.forbidden:
            raise Waited(f"{what} makes the host wait inside a step, at {where}")
        self.counts[where] += 1


WAITS = Waits()


@contextlib.contextmanager
def no_waits(*_: object) -> Iterator[None]:
    """Inside, a wait raises `Waited`. It stands in for torch.profiler's `record_function`, with its argument."""
    before, WAITS.forbidden = WAITS.forbidden, True
    try:
        yield
    finally:
        WAITS.forbidden = before


def asked_at() -> str:
    """Returns the innermost file and line outside torch and this file."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if "/torch/" not in name and name != __file__ and "contextlib" not in name:
            return f"{'/'.join(name.split('/')[-2:])}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def is_simulated(device: object) -> bool:
    return isinstance(device, torch.device) and device.type in ("sim", "privateuseone")


class Simulated(Tensor):
    """A tensor on the device; `raw` is on the CPU."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor, requires_grad: bool = False) -> Simulated:
        made: Simulated = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            layout=raw.layout,
            requires_grad=requires_grad,
            device=torch.device("sim", 0),
        )
        made.raw = raw
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Simulated({self.raw})"

    def tolist(self) -> Any:
        WAITS.note("tolist")
        return self.raw.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert a tensor on sim:0 to numpy")

    def __deepcopy__(self, memo: dict[int, Any]) -> Simulated:
        if id(self) not in memo:
            memo[id(self)] = Simulated(self.raw.clone(), self.requires_grad)
        return memo[id(self)]  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        WAITS.note("saving")
        return self.raw.detach().clone().__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return run(func, args, kwargs or {})


class OnDevice(TorchDispatchMode):
    """Sends factories such as torch.rand(…, device="sim") to the device."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch would import its compiler

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Does an operation on the raw tensors, after it has checked where its tensors are."""
    name = str(func)
    flat, spec = tree.tree_flatten((args, kwargs))
    ours = [one for one in flat if isinstance(one, Simulated)]
    others = [one for one in flat if isinstance(one, Tensor) and not isinstance(one, Simulated)]
    device = next((one for one in flat if isinstance(one, torch.device)), None)
    if not ours and not is_simulated(device):
        return func(*args, **kwargs)
    if any(isinstance(one, torch.Generator) for one in flat):
        raise Mixed(f"{name}: a generator of the CPU draws on sim, at {asked_at()}")
    masks = "aten.index" in name and any(one.dtype == torch.bool for one in ours[1:])
    if masks or any(word in name for word in WAITING):
        WAITS.note(name)
    copies = "_to_copy" in name or "copy_" in name
    leaves = copies and bool(ours) and device is not None and not is_simulated(device)
    into_cpu = "copy_" in name and "_to_copy" not in name and not isinstance(args[0], Simulated)
    if leaves or (into_cpu and ours):
        WAITS.note(f"{name} to the CPU")
    elif not copies and ours and any(one.dim() for one in others):
        if "index" not in name:
            raise Mixed(f"{name}: tensors on sim and on the CPU meet, at {asked_at()}")
        WAITS.note(f"{name} with an index on the CPU")
    elif copies and others and not ours and not kwargs.get("non_blocking"):
        note_sending(name)
    raw = [_raw(one) for one in flat]
    inner_args, inner_kwargs = tree.tree_unflatten(raw, spec)
    inner_kwargs.pop("pin_memory", None)
    made = func(*inner_args, **inner_kwargs)
    if leaves or "_local_scalar_dense" in name:
        return made
    if into_cpu:
        return args[0]
    by_raw = {id(one.raw): one for one in ours}
    known = lambda one: by_raw[id(one)] if id(one) in by_raw else Simulated(one)  # noqa: E731
    return tree.tree_map_only(Tensor, known, made)


LOWERED = (
    "linear", "conv1d", "conv2d", "conv_transpose2d.input", "matmul", "mm", "bmm", "addmm", "baddbmm",
    "scaled_dot_product_attention",
)  # fmt: skip
RAISED = (
    "softmax.int",
    "log_softmax.int",
    "nll_loss",
    "layer_norm",
    "exp",
    "log",
    "pow.Tensor_Scalar",
    "sum",
    "sum.dim_IntList",
)
"""What autocast computes in half precision, and in float32: those of CUDA's lists that the methods use most."""


def install_autocast() -> list[Any]:
    """Makes torch.autocast("sim") cast; torch has nothing for a backend in Python. Returns what is to be kept."""
    others = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    others.fallback(torch.library.fallthrough_kernel)
    ours = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for name in (*LOWERED, *RAISED):
        packet, _, overload = name.partition(".")
        operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
        ours.impl(name, cast_before(operation, None if name in LOWERED else torch.float32))
    return [others, ours]


def cast_before(operation: Any, dtype: torch.dtype | None) -> Any:
    """Does the operation on the device's floats cast to `dtype`; None: to that of autocast."""
    without = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(*args: Any, **kwargs: Any) -> Any:
        wanted = dtype or torch.get_autocast_dtype("sim")

        def one(tensor: Any) -> Any:
            floats = isinstance(tensor, Simulated) and tensor.dtype in (
                torch.float32,
                torch.float16,
                torch.bfloat16,
            )
            return tensor.to(wanted) if floats else tensor

        with torch._C._ExcludeDispatchKeyGuard(without):
            args, kwargs = tree.tree_map(one, (args, kwargs))
            return operation(*args, **kwargs)

    return cast


def note_sending(name: str) -> None:
    """Notes a wait in a step: CUDA's copies to the device block unless they are asked not to."""
    if WAITS.forbidden:
        WAITS.note(f"{name} to the device")


def _raw(given: Any) -> Any:
    if isinstance(given, Simulated):
        return given.raw
    return torch.device("cpu") if is_simulated(given) else given


def install() -> None:
    """Makes `sim` known to torch, once in a process. Raises ImportError where torch lacks the interface."""
    if KEPT:
        return
    from torch.utils.backend_registration import (
        _DummyBackendModule,
        _setup_privateuseone_for_python_backend,
    )

    class Backend(_DummyBackendModule):
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.float16, torch.bfloat16]

        def is_autocast_enabled(self) -> bool:
            return False

        def set_autocast_enabled(self, on: bool) -> None: ...

        def get_rng_state(self, device: Any = None) -> Tensor:
            return torch.get_rng_state()

        def set_rng_state(self, state: Tensor, device: Any = None) -> None:
            torch.set_rng_state(state)

        def _lazy_init(self) -> None: ...

        def device(self, index: Any) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    _setup_privateuseone_for_python_backend("sim", backend_module=Backend())
    library = torch.library.Library("aten", "IMPL")
    KEPT.append(library)
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("empty.memory_format", _empty, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    KEPT.extend(install_autocast())


KEPT: list[Any] = []
"""What torch forgets when Python does. `install` fills it once."""


def _empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: Any = None
) -> Simulated:  # fmt: skip
    return Simulated(torch.empty_strided(size, stride, dtype=dtype))


def _empty(
    size: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: Any = None, memory_format: Any = None
) -> Simulated:  # fmt: skip
    return Simulated(torch.empty(size, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    if not isinstance(target, Simulated):
        WAITS.note("a copy to the CPU")
    elif not isinstance(source, Simulated) and not non_blocking:
        note_sending("a copy")
    _raw(target).copy_(_raw(source))
    return target
