"""Which classes get the remainder of a split: drawn by the seed, and what a part lacks is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.data.folder import FolderConfig
from sslcli.data.images import ImageSet, Splits
from sslcli.data.needs import require_labels
from sslcli.data.sample import FashionSampleConfig
from sslcli.data.split import StoredParts, divide
from sslcli.errors import SslcliError


def pictures(*sizes: int) -> ImageSet:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return ImageSet(np.zeros((len(labels), 1, 1, 1), dtype=np.uint8), labels)


def present(part: ImageSet | None) -> set[int]:
    assert part is not None
    assert part.labels is not None
    return set(part.labels.tolist())


def test_the_embedded_sample_is_split_as_ever() -> None:
    """Values of 0.1.0: recorded runs compare theirs with them when they go on."""
    recorded = {
        "1f9f5429833e72e7": {},
        "89c42e4015c7aef1": {"limit": 64},
        "58e56a7a63d09b0f": {"limit": 600},
        "203f33f092a5d5a2": {"val_fraction": 0.3, "split_seed": 3},
        "a83dc220216a65a6": {"limit": 64, "split_seed": 5},
        "9084d95f6727acd6": {"val_fraction": 0.1234, "limit": 77},
    }
    for fingerprint, settings in recorded.items():
        splits = FashionSampleConfig(**settings).load()  # type: ignore[arg-type]
        assert (splits.fingerprint, splits.warnings) == (fingerprint, ())


def test_the_seed_draws_which_classes_are_validated() -> None:
    chosen = [
        present(divide(StoredParts(pictures(*[5] * 60)), 0.1, None, seed).val) for seed in (0, 1)
    ]
    assert [len(classes) for classes in chosen] == [30, 30]
    assert chosen[0] != chosen[1]
    assert all(classes != set(range(30)) for classes in chosen)
    counted = np.zeros(60)
    for seed in range(200):
        counted[list(present(divide(StoredParts(pictures(*[5] * 60)), 0.1, None, seed).val))] += 1
    assert counted.min() > 60, "a class is validated in about 100 of 200 draws"
    assert counted.max() < 140


def test_the_classes_that_validation_lacks_are_named() -> None:
    stored = divide(StoredParts(pictures(5, 5, 5, 5), classes=("a", "b", "c", "d")), 0.1, None, 0)
    missing = [repr("abcd"[label]) for label in sorted({0, 1, 2, 3} - present(stored.val))]
    said = f"validation has no picture of 2 of the 4 classes: {', '.join(missing)}"
    assert stored.warnings == (said,)
    many = divide(StoredParts(pictures(*[5] * 60)), 0.1, None, 0).warnings[0]
    assert many.count(",") == 5
    assert many.endswith(", ...")


def test_the_only_picture_of_a_class_is_never_validation() -> None:
    for seed in range(20):
        stored = divide(StoredParts(pictures(1, 10, 1, 1, 30, 2)), 0.3, None, seed)
        assert not present(stored.val) & {0, 2, 3}
        assert present(stored.train) == set(range(6))
        assert stored.warnings[0].startswith("validation has no picture of 3 of the 6 classes: 0, ")


def test_more_validation_than_there_is_to_hold_out_takes_what_there_is() -> None:
    stored = divide(StoredParts(pictures(1, 1, 1, 1, 2)), 0.9, None, 0)
    assert present(stored.val) == {4}
    assert present(stored.train) >= {0, 1, 2, 3}


def test_a_limit_below_the_number_of_classes_trains_those_that_are_validated() -> None:
    trained = []
    for seed in (0, 1):
        stored = divide(StoredParts(pictures(*[5] * 60)), 0.1, 30, seed)
        assert len(stored.train) == 30
        assert present(stored.train) == present(stored.val)
        assert [warning.split(":")[0] for warning in stored.warnings] == [
            "training has no picture of 30 of the 60 classes",
            "validation has no picture of 30 of the 60 classes",
        ]
        trained.append(present(stored.train))
    assert trained[0] != trained[1]
    with_val = StoredParts(pictures(*[5] * 60), val=pictures(*[2] * 60))
    drawn = [present(divide(with_val, 0.1, 30, seed).train) for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def load_single(root: Path, *, brings_val: bool) -> Splits:
    for label in range(12):
        for part in ("train", "val") if brings_val else ("train",):
            folder = root / part / f"{label:02}"
            folder.mkdir(parents=True)
            Image.new("L", (4, 4), label + 20 * (part == "val")).save(folder / f"{part}.png")
    return FolderConfig(root=str(root), resolution=4).load()


def test_where_every_class_has_a_single_picture_nothing_is_evaluated(tmp_path: Path) -> None:
    """Validation would be 0 by construction, and choose at random; pretraining uses no labels."""
    splits = load_single(tmp_path, brings_val=False)
    assert len(splits.train) + len(splits.val) == 12
    assert splits.warnings[0].startswith("training has no picture of 1 of the 12 classes")
    with pytest.raises(SslcliError, match=r"no picture of any class that training has") as caught:
        require_labels(splits, "linear-eval")
    assert "two pictures or more" in caught.value.fix


def test_classes_of_a_single_picture_are_validated_by_a_part_of_their_own(tmp_path: Path) -> None:
    splits = load_single(tmp_path, brings_val=True)
    assert present(splits.train) == present(splits.val) == set(range(12))
    assert splits.warnings == ()
