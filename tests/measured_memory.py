"""What real steps take: the most bytes that torch's allocator gave out at once, by torch's profiler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.profiler import ProfilerActivity, profile

from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import OptimConfig
from sslcli.generators import seed_generators
from sslcli.method import Learner, Progress


def measured_peak(
    learner: Learner[Any, Any],
    optim: OptimConfig,
    batch: Any,
    compute: Compute,
    steps: Sequence[int],
) -> int:
    """Returns the peak of these steps on the CPU, in bytes: state, batch and all that is made of them."""
    modules = nn.ModuleDict(learner.modules()).train()
    for module in learner.modules().values():
        compute.to_device(module)
    tensors = [*modules.parameters(), *modules.buffers()]
    tensors += batch if isinstance(batch, tuple) else [batch]
    before = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
    peak = now = sum(storage.nbytes() for storage in before.values())
    minimize = Minimizer.of(learner, optim, compute, lambda _: 0.1)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        for step in steps:
            seed_generators(0)
            minimize.begin(step)
            views = learner.views(batch)
            with compute.autocast():
                learner.train_step(views, minimize, Progress(step, steps[-1] + 1, 10))
            minimize.end()
            del views
    assert profiled.profiler is not None
    events = [one for one in profiled.profiler.kineto_results.events() if one.name() == "[memory]"]
    for event in sorted(events, key=lambda one: one.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak
