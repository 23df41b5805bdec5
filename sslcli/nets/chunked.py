"""Runs a network on a large batch in the memory of a small one.

Nothing of a chunk is kept but its input and output; it is computed again when its gradient is asked
for. So the objective is that of the whole batch, where accumulating the gradients of small batches
would be that of the small ones. Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch
Size under Memory Limited Setup" (gradient cache); Chen et al. 2016, "Training Deep Nets with
Sublinear Memory Cost". Differs from the former: torch's checkpointing does the second pass, so that
a training step reads as if there were no chunks.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def in_chunks(network: nn.Module, inputs: Tensor, chunk_size: int | None) -> Tensor:
    """Returns `network(inputs)` (N, …) with the activations of few rows in memory.

    They are those of `chunk_size` rows; None: of all. Equal, gradients too, up to the order of
    float32 sums, for networks that treat every row alone. Batch norm in training takes the
    statistics of a chunk, as on a device that holds so many rows; its running statistics see every
    chunk once.
    """
    if chunk_size is None or chunk_size >= len(inputs):
        return network(inputs)  # type: ignore[no-any-return]
    # As equal as can be: a last chunk of one row would have no variance.
    chunks = inputs.tensor_split(math.ceil(len(inputs) / chunk_size))
    contexts = lambda: (contextlib.nullcontext(), _unrecorded(network))  # noqa: E731
    return torch.cat(
        [checkpoint(network, chunk, use_reentrant=False, context_fn=contexts) for chunk in chunks]
    )


@contextlib.contextmanager
def _unrecorded(network: nn.Module) -> Iterator[None]:
    """Keeps a chunk's second pass from changing batch norm's running statistics.

    Inside, copies of them are changed.
    """
    recording = [
        module for module in network.modules() if isinstance(module, _BatchNorm) and module.training
    ]
    kept = [dict(module.named_buffers(recurse=False)) for module in recording]
    for module, buffers in zip(recording, kept, strict=True):
        for name, buffer in buffers.items():
            setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, buffers in zip(recording, kept, strict=True):
            for name, buffer in buffers.items():
                setattr(module, name, buffer)
