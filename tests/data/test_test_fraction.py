"""Test pictures held out of data that bring none."""

from __future__ import annotations

import numpy as np
import pytest

from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError


def stored(test: ImageSet | None = None) -> StoredParts[ImageSet]:
    """100 pictures of two classes, in 20 groups of 5; and 20 without a label, one in each group."""
    pixels = np.arange(120, dtype=np.uint8)[:, None, None, None]
    groups = np.arange(120) % 20
    labels = (np.arange(100) < 60).astype(np.int64)
    train = ImageSet(pixels[:100], labels, groups=groups[:100])
    return StoredParts(train, test=test, unlabelled=ImageSet(pixels[100:], groups=groups[100:]))


def divided(seed: int, parts: StoredParts[ImageSet]) -> StoredParts[ImageSet]:
    return DataConfig(root=None, split_seed=seed, test_fraction=0.2).divided(parts)


def test_nothing_of_the_test_part_is_trained_on() -> None:
    held = set()
    for seed in range(5):
        parts = divided(seed, stored())
        assert parts.test is not None
        assert parts.test.labels is not None
        assert parts.val is not None
        assert parts.unlabelled is not None
        assert len(parts.train) + len(parts.val) + len(parts.test) == 100
        assert len(parts.test) == 20
        others = [parts.train, parts.val, parts.unlabelled]
        tested = set(parts.test.groups.tolist())  # type: ignore[union-attr]
        for part in others:
            assert not tested & set(part.groups.tolist())  # type: ignore[union-attr]
        held.add(tuple(parts.test.images[:].ravel().tolist()))
    assert len(held) > 1


def test_validation_has_its_fraction_of_what_is_left() -> None:
    parts = divided(0, StoredParts(ImageSet(stored().train.images, stored().train.labels)))
    assert parts.val is not None
    assert parts.test is not None
    assert (len(parts.test), len(parts.val)) == (20, 8)
    assert np.bincount(parts.test.labels).tolist() == [8, 12]  # type: ignore[arg-type]


def test_an_empty_root_is_not_the_folder_one_is_in() -> None:
    """What an unset variable of a shell leaves: data.root=$PHOTOS."""
    with pytest.raises(SslcliError, match=r"data\.root must be a path, got ''"):
        DataConfig(root="")


def test_it_is_refused_where_the_data_bring_a_test_part() -> None:
    with pytest.raises(SslcliError, match="these data bring a test part"):
        divided(0, stored(test=stored().train))
