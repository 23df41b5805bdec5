"""Cuts an epoch into batches, in an order that is derived and not stored."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sslcli.data.blocks import Blocks
from sslcli.data.images import ImageSet
from sslcli.data.prefetch import Prefetcher
from sslcli.errors import require
from sslcli.preprocessing import Squeezed
from sslcli.processes import rank, size
from sslcli.seeding import derive_seed
from sslcli.transfer import sent


class Batches:
    """Gives training batches, each a pure function of (seed, step).

    An epoch is one permutation of the pictures; its last batch is dropped where it would be a
    smaller one. Pictures that are not in memory are read ahead, while the step before runs, and
    for a CUDA device all are: there a step takes less of the host's time than a batch may.
    `batch_size` is that of all processes together, of which each gets its rows.

    Raises SslcliError where `batch_size` is larger than the set, or does not divide among the
    processes.
    """

    def __init__(
        self, images: ImageSet, batch_size: int, seed: int, device: torch.device | str
    ) -> None:
        _require_batch_size(batch_size, len(images))
        self.batch_size = batch_size
        self.seed = seed
        self.device = torch.device(device)
        self.steps_per_epoch = len(images) // batch_size
        # Asked here once: batches are read ahead while the processes may be doing something else.
        self._rank, self._own_size = rank(), batch_size // size()
        self._images, self._blocks = images.images, images.blocks
        self._aspects = None if images.aspects is None else torch.from_numpy(images.aspects)
        self._array: Tensor | None = None
        if isinstance(self._images, np.ndarray) and self._images.dtype != np.uint16:
            # torch warns about arrays it may not write to
            self._array = torch.from_numpy(np.require(self._images, requirements=["C", "W"]))
        self._pins = self.device.type == "cuda"
        ahead = self._array is None or self._pins
        self._prefetcher = Prefetcher(self._read) if ahead else None

    def at(self, step: int) -> Tensor | Squeezed:
        """Returns the batch of `step`, counted from 0: (N, H, W, C) on the device."""
        batch = self._read(step) if self._prefetcher is None else self._prefetcher.at(step)
        images = batch.to(self.device, non_blocking=True)
        if self._aspects is None:
            return images
        return Squeezed(images, self._aspects[self._of_all(step)])

    def indices(self, step: int) -> Tensor:
        """Returns which pictures `at(step)` returns: (N,) int64."""
        return self._of_all(step)[self._rank * self._own_size :][: self._own_size]

    def _of_all(self, step: int) -> Tensor:
        """Returns which pictures all processes get in a step."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        order = _epoch_order(len(self._images), self.seed, epoch, self._blocks)
        return order[start : start + self.batch_size]

    def _read(self, step: int) -> Tensor:
        chosen = self.indices(step)
        if self._array is None:
            batch = torch.from_numpy(self._images[chosen.numpy()])
            return batch.pin_memory() if self._pins else batch
        if not self._pins:
            return self._array.index_select(0, chosen)  # copies whole rows, as [chosen] does not
        # Pinned, so that the copy does not make the host wait; torch keeps it until that is done.
        shape = (len(chosen), *self._array.shape[1:])
        pinned = torch.empty(shape, dtype=self._array.dtype, pin_memory=True)
        return torch.index_select(self._array, 0, chosen, out=pinned)


def _require_batch_size(batch_size: int, num: int) -> None:
    require(batch_size > 0, "batch_size", batch_size, "positive", "try 64")
    together = f"a multiple of the {size()} processes"
    divisible = math.ceil(batch_size / size()) * size()
    require(batch_size == divisible, "batch_size", batch_size, together, f"try {divisible}")
    most = num // size() * size()
    fix = f"try {most} or less" if most > 1 else f"add pictures: training has only {num}"
    must_be = f"at most the {num} training pictures"
    require(batch_size <= num, "batch_size", batch_size, must_be, fix)


@lru_cache(maxsize=4)
def _epoch_order(num: int, seed: int, epoch: int, blocks: Blocks | None) -> Tensor:
    """Returns an epoch's permutation, cached while batches of two epochs are prepared."""
    if blocks is not None:
        return torch.from_numpy(blocks.order(seed, epoch))
    generator = torch.Generator().manual_seed(derive_seed("order", seed, epoch))
    return torch.randperm(num, generator=generator)


class LabelledBatches:
    """Gives batches as `Batches`, each with its labels (N,) int64."""

    def __init__(
        self, images: ImageSet, batch_size: int, seed: int, device: torch.device | str
    ) -> None:
        assert images.labels is not None
        self._batches = Batches(images, batch_size, seed, device)
        self._labels = torch.from_numpy(images.labels)
        self.batch_size = batch_size
        self.steps_per_epoch = self._batches.steps_per_epoch

    def at(self, step: int) -> tuple[Tensor | Squeezed, Tensor]:
        labels = sent(self._labels[self._batches.indices(step)], self._batches.device)
        return self._batches.at(step), labels
