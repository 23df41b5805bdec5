"""Batches that are prepared while a step runs."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.images import ImageSet, LazySubset
from sslcli.data.prefetch import NUM_PREFETCHED, Prefetcher


def until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_follows_is_prepared_meanwhile_and_no_more() -> None:
    prepared: list[int] = []

    def prepare(step: int) -> int:
        prepared.append(step)
        return step * step

    ahead = Prefetcher(prepare)
    assert ahead.at(5) == 25
    until(lambda: len(prepared) == 1 + NUM_PREFETCHED)
    time.sleep(0.02)
    assert prepared == [5, 6, 7]
    assert ahead.at(6) == 36
    until(lambda: prepared == [5, 6, 7, 8])
    assert [ahead.at(step) for step in (0, 7, 7, 3)] == [0, 49, 49, 9]


def test_it_is_prepared_elsewhere() -> None:
    assert Prefetcher(lambda step: threading.get_ident()).at(0) != threading.get_ident()


def test_an_error_comes_with_the_step_it_belongs_to() -> None:
    def prepare(step: int) -> int:
        if step == 2:
            raise ValueError("broken")
        return step

    ahead = Prefetcher(prepare)
    assert [ahead.at(0), ahead.at(1)] == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        ahead.at(2)
    assert ahead.at(3) == 3


def test_threads_end_with_their_batches() -> None:
    before = set(threading.enumerate())
    ahead = Prefetcher(lambda step: step)
    ahead.at(0)
    (thread,) = set(threading.enumerate()) - before
    del ahead
    until(lambda: not thread.is_alive())


class Slow:
    """Pictures that cannot be had at once."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images = images
        self.shape: tuple[int, ...] = images.shape

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, chosen: slice | NDArray[np.int64], /) -> NDArray[np.uint8]:
        time.sleep(0.002)
        return self._images[chosen]


def test_batches_read_ahead_are_those_of_pictures_in_memory() -> None:
    images = np.arange(22, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    labels = np.arange(22) % 5
    here = LabelledBatches(ImageSet(images, labels), 5, 3, "cpu")
    there = LabelledBatches(ImageSet(LazySubset(Slow(images), np.arange(22)), labels), 5, 3, "cpu")
    torch.manual_seed(0)
    state = torch.get_rng_state()
    for step in (*range(9), 3, 11, 0):
        for expected, found in zip(here.at(step), there.at(step), strict=True):
            assert torch.equal(found, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_read_ahead_can_be_written_to_without_harm() -> None:
    images = np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    batches = Batches(ImageSet(LazySubset(images, np.arange(10))), 10, 0, "cpu")
    batches.at(0).zero_()
    assert int(batches.at(0).max()) == 9
