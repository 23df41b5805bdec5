"""Near duplicates are exactly the pairs whose hashes are close and whose copies correlate."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sslcli.tools.inspect.near_duplicates import (
    LEAST_ALIKE,
    MOST_BITS,
    SMALL,
    clusters,
    near_pairs,
    perceptual_hashes,
)
from sslcli.tools.inspect.picture_facts import look_at_bytes


def planted(count: int) -> NDArray[np.uint64]:
    """Random hashes; each of the second half differs from one of the first in 0 to 12 bits."""
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 2**64, count, dtype=np.uint64)
    flipped = originals.copy()
    for index in range(count):
        for bit in rng.choice(64, index % 13, replace=False).tolist():
            flipped[index] ^= np.uint64(1 << bit)
    return np.concatenate([originals, flipped])


def test_no_pair_of_close_hashes_is_missed_and_none_is_added() -> None:
    hashes = planted(200)
    ramp = np.arange(SMALL**2, dtype=np.uint8).reshape(SMALL, SMALL)
    small = np.repeat(ramp[None], len(hashes), axis=0)
    found = {
        tuple(pair)
        for pair in near_pairs(hashes[:, None], small[:, None], np.arange(len(hashes))).tolist()
    }
    numbers = [int(value) for value in hashes]
    slow = {
        (i, j)
        for j in range(len(numbers))
        for i in range(j)
        if bin(numbers[i] ^ numbers[j]).count("1") <= MOST_BITS
    }
    assert found == slow
    assert len(slow) > 100


def test_pictures_of_one_hash_that_do_not_correlate_are_no_pair() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (3, SMALL, SMALL), dtype=np.uint8)
    small[2] = np.clip(small[0].astype(int) + rng.integers(-9, 10, small[0].shape), 0, 255)
    assert np.corrcoef(small[0].ravel(), small[2].ravel())[0, 1] > LEAST_ALIKE
    hashes = np.zeros(3, dtype=np.uint64)
    assert near_pairs(hashes[:, None], small[:, None], np.arange(3)).tolist() == [[0, 2]]
    assert near_pairs(hashes[:, None], small[:, None], np.array([1, 2])).tolist() == []


def test_flat_pictures_have_no_pair() -> None:
    small = np.full((50, SMALL, SMALL), 7, dtype=np.uint8)
    assert len(near_pairs(np.zeros((50, 1), dtype=np.uint64), small[:, None], np.arange(50))) == 0


def test_many_copies_make_few_pairs_and_one_cluster() -> None:
    ramp = np.arange(SMALL**2, dtype=np.uint8).reshape(SMALL, SMALL)
    pairs = near_pairs(
        np.full((1000, 1), 5, dtype=np.uint64),
        np.repeat(ramp[None, None], 1000, axis=0),
        np.arange(1000),
    )
    assert len(pairs) == 999
    assert clusters(pairs) == [list(range(1000))]


def test_clusters_join_over_others() -> None:
    pairs = np.array([[5, 9], [2, 3], [1, 9], [3, 7]])
    assert clusters(pairs) == [[1, 5, 9], [2, 3, 7]]
    assert clusters(np.empty((0, 2), dtype=np.int64)) == []


@pytest.mark.parametrize(
    "change",
    [
        "quality 50",
        "half the size",
        "twice the size",
        "grey",
        "darker",
        "2 % cropped",
        "5 % cropped",
    ],
)
def test_a_picture_saved_again_is_near(change: str) -> None:
    rng = np.random.default_rng(0)
    blots = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    picture = blots.resize((120, 90), Image.Resampling.BICUBIC)
    changed = {
        "half the size": picture.resize((60, 45)),
        "twice the size": picture.resize((240, 180)),
        "grey": picture.convert("L"),
        "2 % cropped": picture.crop((2, 2, 118, 88)),
        "5 % cropped": picture.crop((6, 4, 114, 86)),
        "darker": picture.point(lambda level: level * 0.8),
    }.get(change, picture)
    looks = [look_at_bytes(encoded(picture, 95)), look_at_bytes(encoded(changed, 50))]
    hashes = perceptual_hashes(np.stack([look.grey for look in looks]).astype(np.float32))
    small = np.stack([look.small for look in looks])
    assert near_pairs(hashes, small, np.arange(2)).tolist() == [[0, 1]]


def encoded(picture: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return content.getvalue()
