"""A data source that gives what it must not is refused, with what was seen and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sslcli.choices import Misfit
from sslcli.data.images import ImageSet, Splits
from sslcli.data.soundness import require_splits
from sslcli.data.split import StoredParts

Change = Callable[[ImageSet], Any]


def part(num: int = 4) -> ImageSet:
    return ImageSet(np.zeros((num, 8, 8, 1), np.uint8), np.arange(num) % 2)


GOOD = Splits(train=part(), val=part(2), test=part(2), classes=("left", "right"))


def with_images(change: Callable[[Any], Any]) -> Change:
    return lambda part: replace(part, images=change(part.images))


def with_labels(change: Callable[[Any], Any]) -> Change:
    return lambda part: replace(part, labels=change(part.labels))


def test_what_is_sound_passes() -> None:
    require_splits(GOOD, None, None)
    require_splits(GOOD, 8, 4)
    unlabelled = GOOD.train.without_labels()
    require_splits(Splits(unlabelled, unlabelled, None), None, None)


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_images(lambda x: x + np.float32(2)), "pictures must be in [0, 1], got 2 to 2"),
        (with_images(lambda x: x * np.float32("nan")), "pictures must be in [0, 1], got nan to nan"),
        (with_images(lambda x: x.astype(np.float64)), "pictures must be uint8, uint16, or float32 in [0, 1], got float64"),
        (with_images(lambda x: x.astype(">u2")), "got >u2"),
        (with_images(lambda x: x.astype(np.int64)), "got int64"),
        (with_images(lambda x: x[..., 0]), "must be (N, H, W, C), of 1 to 64 channels, got shape"),
        (with_images(lambda x: x.transpose(0, 3, 1, 2)), "x1x8x8"),
        (with_images(lambda x: x.repeat(65, 3)), "x8x8x65"),
        (with_images(lambda x: x[:, :4]), "must be square, of one size"),
        (with_labels(lambda y: y - 1), "labels must be from 0 to 1, the last of its classes, got -1 to 0"),
        (with_labels(lambda y: y + 5), "got 5 to 6"),
        (with_labels(lambda y: y.astype(float)), "an array of int64, got float64"),
        (with_labels(lambda y: y.tolist()), "got list"),
        (with_labels(lambda y: y[:, None]), "labels must be one for each of"),
        (with_labels(lambda y: y[:-1]), "got shape"),
        (lambda part: part.images, "part is a ndarray, no ImageSet"),
    ],
)  # fmt: skip
def test_a_part_that_is_not_sound_is_named(name: str, change: Change, said: str) -> None:
    with pytest.raises(Misfit) as caught:
        require_splits(replace(GOOD, **{name: change(getattr(GOOD, name))}), None, None)
    assert str(caught.value).startswith("its test" if name == "test" else "its training")
    assert said in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("splits", "resolution", "limit", "said"),
    [
        (None, None, None, "its load returns NoneType, no Splits"),
        (StoredParts(part(), part()), None, None, "its load returns StoredParts"),
        (GOOD, 16, None, "its training pictures must be square, of one size and of 16 px, got 8x8x1"),
        (replace(GOOD, test=with_images(lambda x: x.astype(np.uint16))(part())), None, None, "its test pictures must be numbers of one type, got uint16, and training's are uint8"),
        (GOOD, None, 3, "it gives 4 pictures where data.limit=3"),
        (replace(GOOD, classes=None, val=with_labels(lambda y: y - 1)(part())), None, None, "validation labels must be 0 or more, got -1"),
    ],
)  # fmt: skip
def test_what_the_settings_ask_for_must_be_given(
    splits: object, resolution: int | None, limit: int | None, said: str
) -> None:
    with pytest.raises(Misfit) as caught:
        require_splits(splits, resolution, limit)
    assert said in str(caught.value)
