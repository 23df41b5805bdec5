"""Groups: none is ever on two sides of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.data.folder import FolderConfig
from sslcli.data.images import ImageSet
from sslcli.data.split import StoredParts, divide
from sslcli.data.subset import label_subset
from sslcli.errors import SslcliError


def generated(seed: int) -> ImageSet:
    """Up to 200 pictures of up to 60 groups of unequal sizes, labels that follow groups or not."""
    draw = np.random.default_rng(seed)
    count, num_groups = int(draw.integers(10, 200)), int(draw.integers(2, 60))
    weights = draw.dirichlet(np.full(num_groups, draw.choice([0.2, 1.0, 10.0])))
    groups = draw.choice(num_groups, count, p=weights)
    groups[:2] = [0, 1]
    labels = draw.integers(0, draw.integers(1, 8), count) if seed % 3 else groups % 4
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(1, axis=3)
    return ImageSet(pixels, labels.astype(np.int64), groups=groups.astype(np.int64))


def test_no_group_is_on_two_sides_over_a_thousand_sets() -> None:
    shares = []
    for seed in range(1000):
        stored = generated(seed)
        fraction = (0.1, 0.2, 0.4)[seed % 3]
        divided = divide(StoredParts(stored), fraction, None, seed)
        assert divided.val is not None
        train, val = divided.train.groups, divided.val.groups
        assert train is not None
        assert val is not None
        assert len(train) + len(val) == len(stored)
        assert len(train) > 0
        assert len(val) > 0
        assert not np.intersect1d(train, val).size
        assert divided.train.labels is not None
        subset = label_subset(divided.train.labels, 0.3, seed)
        assert not np.intersect1d(train[subset], val).size
        shares.append(len(val) / len(stored) / fraction)
    assert 0.8 < np.median(shares) < 1.2


def test_validation_has_each_class_in_about_its_share() -> None:
    draw = np.random.default_rng(0)
    groups = draw.integers(0, 100, 2000)
    labels = (groups % 4 == 0).astype(np.int64)
    stored = ImageSet(np.zeros((2000, 1, 1, 1), dtype=np.uint8), labels, groups=groups)
    divided = divide(StoredParts(stored), 0.2, None, 0)
    assert divided.val is not None
    assert divided.val.labels is not None
    held, everywhere = np.bincount(divided.val.labels), np.bincount(labels)
    assert (abs(held / everywhere - 0.2) < 0.05).all()


def test_another_seed_holds_other_groups_out() -> None:
    stored = generated(5)
    held = set()
    for seed in range(5):
        val = divide(StoredParts(stored), 0.2, None, seed).val
        assert val is not None
        assert val.groups is not None
        held.add(tuple(sorted(set(val.groups.tolist()))))
    assert len(held) > 1


def test_a_single_group_is_refused() -> None:
    one = ImageSet(np.zeros((9, 1, 1, 1), np.uint8), groups=np.zeros(9, dtype=np.int64))
    with pytest.raises(SslcliError, match="one group"):
        divide(StoredParts(one), 0.1, None, 0)


def tree(root: Path, *names: str) -> Path:
    for shade, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), shade).save(root / name)
    return root


def groups_of(root: Path, rule: str) -> dict[int, int]:
    splits = FolderConfig(root=str(root), resolution=8, groups=rule).load()
    found = {}
    for part in (splits.train, splits.val, *([splits.test] if splits.test else [])):
        assert part.groups is not None
        found.update(zip(part.images[:][:, 0, 0, 0].tolist(), part.groups.tolist(), strict=True))
    return found


NAMES = [f"cat/p{n // 2}/{n}.png" for n in range(6)]


@pytest.mark.parametrize("rule", ["2", r"p(\d)", "/(p.)/"])
def test_a_folder_level_or_a_pattern_names_the_group(tmp_path: Path, rule: str) -> None:
    found = groups_of(tree(tmp_path, *NAMES), rule)
    assert [found[n] for n in range(6)] == [0, 0, 1, 1, 2, 2]


def test_the_level_is_counted_below_the_parts(tmp_path: Path) -> None:
    names = [f"train/{name}" for name in NAMES] + ["test/cat/p9/9.png"]
    found = groups_of(tree(tmp_path, *names), "2")
    assert [found[n] for n in range(7)] == [0, 0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("part", ["train", "Training"])
def test_the_level_is_counted_below_a_training_part_that_is_alone(
    tmp_path: Path, part: str
) -> None:
    names = [f"{part}/{name.removeprefix('cat/')}" for name in NAMES]
    found = groups_of(tree(tmp_path, *names), "1")
    assert [found[n] for n in range(6)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("3", "lies in 2 folders"),
        ("0", "lies in 2 folders"),
        (r"p\d", "has no brackets"),
        (r"p(\d", "is no regular expression"),
        (r"q(\d)", "finds no group in cat"),
    ],
)
def test_a_rule_that_finds_no_group_is_refused(tmp_path: Path, rule: str, said: str) -> None:
    with pytest.raises(SslcliError) as error:
        groups_of(tree(tmp_path, *NAMES), rule)
    assert said in str(error.value)


def test_a_group_in_train_and_test_is_refused(tmp_path: Path) -> None:
    names = [f"train/{name}" for name in NAMES] + ["test/cat/p1/9.png"]
    with pytest.raises(SslcliError, match="both train and test: 'p1'"):
        groups_of(tree(tmp_path, *names), "2")
