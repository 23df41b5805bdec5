"""Batches of an epoch, in an order that is derived instead of carried along."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sslcli.data.images import ImageSet
from sslcli.errors import require
from sslcli.seeding import derive_seed


class Batches:
    """Training batches, each a pure function of (seed, step).

    An epoch is one permutation of the pictures; its last batch is dropped where it would be a smaller one.

    Raises: SslcliError where `batch_size` is larger than the set.
    """

    def __init__(self, images: ImageSet, batch_size: int, seed: int, device: torch.device | str) -> None:
        require(batch_size > 0, "batch_size", batch_size, "positive", "try 64")
        must_be = f"at most the {len(images)} training pictures"
        require(batch_size <= len(images), "batch_size", batch_size, must_be, f"try {len(images)} or less")
        self.batch_size = batch_size
        self.seed = seed
        self.device = torch.device(device)
        self.steps_per_epoch = len(images) // batch_size
        # torch warns about arrays it may not write to, such as those mapped from a file
        self._images = torch.from_numpy(np.require(images.images, requirements=["C", "W"]))
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> Tensor:
        """The batch of `step`, counted from 0: (N, H, W, C) uint8 on the device."""
        chosen = self.indices(step)
        if self.device.type != "cuda":
            return self._images[chosen].to(self.device)
        # Pinned, so that the copy does not make the host wait; torch keeps the memory until it is done.
        pinned = torch.empty((len(chosen), *self._images.shape[1:]), dtype=torch.uint8, pin_memory=True)
        torch.index_select(self._images, 0, chosen, out=pinned)
        return pinned.to(self.device, non_blocking=True)

    def indices(self, step: int) -> Tensor:
        """Which pictures `at(step)` returns: (N,) int64."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed("order", self.seed, epoch))
            self._order = torch.randperm(len(self._images), generator=generator)
            self._epoch = epoch
        return self._order[position * self.batch_size : (position + 1) * self.batch_size]


class LabelledBatches:
    """As `Batches`, each with its labels: `at(step)` gives (N, H, W, C) uint8 and (N,) int64."""

    def __init__(self, images: ImageSet, batch_size: int, seed: int, device: torch.device | str) -> None:
        assert images.labels is not None
        self._batches = Batches(images, batch_size, seed, device)
        self._labels = torch.from_numpy(images.labels)
        self.batch_size = batch_size
        self.steps_per_epoch = self._batches.steps_per_epoch

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        labels = self._labels[self._batches.indices(step)].to(self._batches.device)
        return self._batches.at(step), labels
