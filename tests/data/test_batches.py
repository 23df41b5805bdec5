"""The order of the training pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.errors import SslcliError


def pictures(count: int) -> ImageSet:
    """Picture i is all i."""
    return ImageSet(np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, 3))


def seen(batches: Batches, steps: range) -> list[int]:
    return [int(value) for step in steps for value in batches.at(step)[:, 0, 0, 0]]


def test_an_epoch_shows_each_picture_once_and_drops_the_last_part() -> None:
    batches = Batches(pictures(22), 5, seed=0, device="cpu")
    assert batches.steps_per_epoch == 4
    first, second = seen(batches, range(4)), seen(batches, range(4, 8))
    assert len(first) == len(set(first)) == 20
    assert len(second) == len(set(second)) == 20
    assert first != second
    assert first != sorted(first)
    assert batches.at(0).shape == (5, 1, 1, 3)
    assert batches.at(0).dtype == torch.uint8


def test_a_batch_depends_on_nothing_but_seed_and_step() -> None:
    straight = Batches(pictures(22), 5, seed=3, device="cpu")
    in_order = [straight.at(step) for step in range(12)]
    torch.manual_seed(99)
    jumping = Batches(pictures(22), 5, seed=3, device="cpu")
    for step in (11, 0, 7, 7, 3):
        assert torch.equal(jumping.at(step), in_order[step])
    assert seen(Batches(pictures(22), 5, seed=4, device="cpu"), range(4)) != seen(
        straight, range(4)
    )


def test_drawing_batches_leaves_the_global_generator_alone() -> None:
    batches = Batches(pictures(22), 5, seed=0, device="cpu")
    before = torch.get_rng_state()
    batches.at(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_can_be_written_to_without_harm() -> None:
    images = pictures(10)
    batches = Batches(images, 10, seed=0, device="cpu")
    batches.at(0).zero_()
    assert images.images.max() == 9
    assert sorted(seen(batches, range(1))) == list(range(10))


def test_arrays_that_are_read_only_or_not_contiguous_are_taken() -> None:
    images = pictures(10).images[::2]
    images.flags.writeable = False
    assert sorted(seen(Batches(ImageSet(images), 5, seed=0, device="cpu"), range(1))) == [
        0,
        2,
        4,
        6,
        8,
    ]


@pytest.mark.parametrize(
    ("size", "said"), [(11, "at most the 10 training pictures"), (0, "positive")]
)
def test_a_batch_size_that_cannot_be_is_an_error(size: int, said: str) -> None:
    with pytest.raises(SslcliError, match=f"batch_size must be {said}"):
        Batches(pictures(10), size, seed=0, device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_on_a_gpu_are_those_of_the_cpu() -> None:
    here, there = (Batches(pictures(22), 5, seed=0, device=device) for device in ("cpu", "cuda"))
    for step in range(9):
        assert there.at(step).device.type == "cuda"
        assert torch.equal(there.at(step).cpu(), here.at(step))


def test_a_batch_that_does_not_divide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslcli.data.batches.size", lambda: 4)
    with pytest.raises(SslcliError) as caught:
        Batches(ImageSet(np.zeros((50, 4, 4, 1), np.uint8)), 10, 0, "cpu")
    assert "a multiple of the 4 processes, got 10" in caught.value.message
    assert "12" in caught.value.fix
