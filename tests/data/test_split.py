"""Held-out validation, limits, and few labels."""

from __future__ import annotations

import numpy as np
import pytest

from sslcli.data.images import ImageSet, Splits
from sslcli.data.needs import require_labels, require_test
from sslcli.data.split import StoredParts, divide, permutation, stratified_sample
from sslcli.data.subset import label_subset
from sslcli.errors import SslcliError
from sslcli.seeding import derive_seed


def pictures(*sizes: int, labelled: bool = True) -> ImageSet:
    """`sizes[c]` pictures of class c, sorted by class; a picture's only pixel row holds its number."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    numbers = np.arange(len(labels), dtype=np.uint32).view(np.uint8).reshape(-1, 4)
    return ImageSet(numbers.reshape(-1, 1, 4, 1), labels if labelled else None)


def numbers(part: ImageSet) -> list[int]:
    return np.ascontiguousarray(part.images).reshape(-1, 4).view(np.uint32).ravel().tolist()


def counts(part: ImageSet) -> list[int]:
    assert part.labels is not None
    return np.bincount(part.labels).tolist()


def both(stored: StoredParts[ImageSet]) -> tuple[ImageSet, ImageSet]:
    assert stored.val is not None
    return stored.train, stored.val


def test_validation_takes_its_part_of_every_class_and_nothing_twice() -> None:
    train, val = both(divide(StoredParts(pictures(100, 50, 30)), 0.1, None, 0))
    assert counts(val) == [10, 5, 3]
    assert counts(train) == [90, 45, 27]
    assert sorted(numbers(train) + numbers(val)) == list(range(180))
    assert numbers(val) == sorted(numbers(val))


def test_the_seed_chooses_who_is_held_out() -> None:
    held = [
        numbers(both(divide(StoredParts(pictures(50, 50)), 0.1, None, seed))[1])
        for seed in (0, 0, 1)
    ]
    assert held[0] == held[1]
    assert held[0] != held[2]


def test_given_validation_and_test_stay_whole() -> None:
    stored = StoredParts(pictures(50, 50), val=pictures(3, 3), test=pictures(4, 4))
    divided = divide(stored, 0.5, 10, 0)
    assert counts(divided.train) == [5, 5]
    assert divided.val is stored.val
    assert divided.test is stored.test


def test_limit_counts_what_is_left_for_training() -> None:
    train, val = both(divide(StoredParts(pictures(60, 40)), 0.1, 64, 0))
    assert (len(train), len(val)) == (64, 10)
    assert counts(train) == [38, 26]  # of 54 and 36: 38.4 and 25.6
    assert divide(StoredParts(pictures(60, 40)), 0.1, 90, 0).train.labels is not None


def test_limit_holds_for_pictures_without_labels() -> None:
    divided = divide(
        StoredParts(pictures(30, 30), unlabelled=pictures(500, labelled=False)), 0.1, 20, 0
    )
    assert divided.unlabelled is not None
    assert len(divided.unlabelled) == 20


def test_more_than_there_are_is_an_error_with_their_number() -> None:
    with pytest.raises(
        SslcliError, match=r"data\.limit must be at most the 90 training pictures .* got 91"
    ):
        divide(StoredParts(pictures(60, 40)), 0.1, 91, 0)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_neither_part_is_ever_empty(fraction: float) -> None:
    train, val = both(divide(StoredParts(pictures(2, 2)), fraction, None, 0))
    assert sorted([len(train), len(val)]) == [1, 3]


def test_without_labels_the_choice_is_spread_over_all() -> None:
    train, val = both(divide(StoredParts(pictures(1000, labelled=False)), 0.2, None, 0))
    assert (len(train), len(val)) == (800, 200)
    assert 400 < np.mean(numbers(val)) < 600


def test_stratified_gives_exactly_so_many_however_the_shares_round() -> None:
    labels = np.repeat(np.arange(7), [1, 1, 2, 3, 5, 8, 13])
    for count in range(1, len(labels) + 1):
        chosen = stratified_sample(labels, len(labels), count, 3)
        assert len(set(chosen.tolist())) == count
        shares = np.bincount(labels, minlength=7) * count / len(labels)
        assert (np.abs(np.bincount(labels[chosen], minlength=7) - shares) < 1).all()


def test_shuffled_is_a_permutation_that_must_not_change() -> None:
    assert sorted(permutation(100, 5).tolist()) == list(range(100))
    assert permutation(8, 0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]


def test_derived_seeds_tell_all_parts_apart_and_must_not_change() -> None:
    seeds = [
        derive_seed("a", 1, 2),
        derive_seed("a", 12),
        derive_seed("a", "1", 2),
        derive_seed("b", 1, 2),
    ]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed("order", np.int64(0), 3) == derive_seed("order", 0, 3) == 390796674714198143


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0.01, [2, 1, 1]),
        (0.1, [20, 5, 1]),
        (1, [200, 50, 10]),
        (1.0, [200, 50, 10]),
        (10, [10, 10, 10]),
    ],
)
def test_label_subset_takes_a_part_or_a_count_of_every_class(
    amount: float, expected: list[int]
) -> None:
    labels = np.repeat(np.arange(3), [200, 50, 10])
    chosen = label_subset(labels, amount, 0)
    assert np.bincount(labels[chosen]).tolist() == expected
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_label_subsets_of_other_seeds_differ() -> None:
    labels = np.repeat(np.arange(10), 100)
    first, again, other = (label_subset(labels, 10, seed).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("amount", [0, -1, 2.5, float("nan"), float("inf")])
def test_label_subset_refuses_what_is_neither(amount: float) -> None:
    with pytest.raises(SslcliError, match=r"probe\.labels must be .*, got"):
        label_subset(np.zeros(10, dtype=np.int64), amount, 0, field="probe.labels")


def test_label_subset_names_the_class_that_has_too_few() -> None:
    labels = np.repeat(np.arange(2), [20, 5])
    with pytest.raises(SslcliError, match="6 pictures of every class, but class 'dog' has 5"):
        label_subset(labels, 6, 0, classes=("cat", "dog"))
    with pytest.raises(SslcliError, match="class '1' has 5"):
        label_subset(labels, 6, 0)


def test_who_needs_labels_says_so() -> None:
    two, one, none = pictures(3, 3), pictures(3), pictures(3, labelled=False)
    require_labels(Splits(two, two, None), "linear-eval")
    with pytest.raises(
        SslcliError, match="linear-eval needs labels, and the training pictures have none"
    ):
        require_labels(Splits(none, none, None), "linear-eval")
    with pytest.raises(SslcliError, match="the validation pictures have none"):
        require_labels(Splits(two, none, None), "linear-eval")
    with pytest.raises(SslcliError, match=r"at least two classes, .* one, 'cat'"):
        require_labels(Splits(one, one, None, classes=("cat",)), "linear-eval")


def test_who_needs_test_pictures_says_so() -> None:
    two, none = pictures(3, 3), pictures(3, labelled=False)
    require_test(Splits(two, two, two), "linear-eval")
    require_test(Splits(none, none, none), "restore")
    with pytest.raises(SslcliError, match="linear-eval needs test pictures"):
        require_test(Splits(two, two, None), "linear-eval")
    with pytest.raises(SslcliError, match="the test pictures have none"):
        require_test(Splits(two, two, none), "linear-eval")
