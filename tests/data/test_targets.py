"""Several classes a picture, and numbers: what tables and arrays say, and that none is misread."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.data.arrays import ArraysConfig
from sslcli.data.images import ImageSet, Splits
from sslcli.data.needs import require_labels, require_labels_or_targets, require_test
from sslcli.data.table import TableConfig
from sslcli.errors import SslcliError

NAMED = ["cat|dog", "cat", "", "dog | bird", "bird", "|cat", "dog", "", "cat|cat", "bird"]
"""What ten pictures show; the last three are test."""
SHOWN = [set(text.replace(" ", "").split("|")) - {""} for text in NAMED]
NUMBERS = ["0.5", "-3", "1e3", "", "7", "0", " 2.25", "4", "5", "-0.0"]
PARTS = ["train"] * 7 + ["test"] * 3


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten pictures; the number of each is its grey."""
    for number in range(10):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
    return tmp_path


def table(root: Path, **columns: list[str]) -> Path:
    columns = {"path": [f"{n}.png" for n in range(10)], "part": PARTS, **columns}
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    (root / "t.csv").write_text("\n".join(lines) + "\n")
    return root / "t.csv"


def load(file: Path, **settings: object) -> Splits:
    return TableConfig(root=str(file), resolution=4, max_bad=0.0, **settings).load()  # type: ignore[arg-type]


def parts_of(splits: Splits) -> list[ImageSet]:
    assert splits.test is not None
    return [splits.train, splits.val, splits.test]


def shown(splits: Splits) -> dict[int, set[str]]:
    """The classes of every picture, by the number that its pixels tell."""
    assert splits.target_names is not None
    names, found = np.array(splits.target_names), {}
    for part in parts_of(splits):
        assert part.targets is not None
        assert part.targets.dtype == np.bool_
        for grey, row in zip(part.images[:][:, 0, 0, 0].tolist(), part.targets, strict=True):
            found[grey] = set(names[row].tolist())
    return found


def numbers(splits: Splits) -> dict[int, float]:
    found: dict[int, float] = {}
    for part in parts_of(splits):
        assert part.targets is not None
        greys = part.images[:][:, 0, 0, 0].tolist()
        found.update(zip(greys, part.targets[:, 0].tolist(), strict=True))
    return found


def test_each_picture_has_its_own_classes(pictures: Path) -> None:
    splits = load(table(pictures, labels=NAMED))
    assert shown(splits) == dict(enumerate(SHOWN))
    assert splits.target_names == ("bird", "cat", "dog")
    assert splits.train.labels is splits.classes is splits.unlabelled is None


def test_each_picture_has_its_own_number_and_unknown_ones_are_pretrained_on(pictures: Path) -> None:
    splits = load(table(pictures, age=NUMBERS), target="age")
    true = {n: float(text) for n, text in enumerate(NUMBERS) if text}
    assert numbers(splits) == true
    assert splits.target_names == ("age",)
    assert splits.unlabelled is not None
    assert splits.unlabelled.images[:][:, 0, 0, 0].tolist() == [3]
    assert splits.unlabelled.targets is None
    assert len(splits.pretraining) == len(splits.train) + 1


def test_lists_in_json_and_parquet_say_what_a_csv_says(pictures: Path) -> None:
    expected = load(table(pictures, labels=NAMED))
    rows = [
        {"path": f"{n}.png", "part": PARTS[n], "labels": sorted(SHOWN[n]) or None}
        for n in range(10)
    ]
    (pictures / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    splits = load(pictures / "t.jsonl")
    assert shown(splits) == dict(enumerate(SHOWN))
    assert splits.fingerprint == expected.fingerprint
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), pictures / "t.parquet")
    assert load(pictures / "t.parquet").fingerprint == expected.fingerprint


def test_targets_are_part_of_the_fingerprint(pictures: Path) -> None:
    splits = load(table(pictures, target=NUMBERS))
    changed = [*NUMBERS[:4], "7.000001", *NUMBERS[5:]]
    prints = {
        splits.fingerprint,
        load(table(pictures, target=changed)).fingerprint,
        load(table(pictures, labels=NAMED)).fingerprint,
        load(table(pictures)).fingerprint,
    }
    assert len(prints) == 4
    plain = replace(splits.train, targets=None)
    assert plain.fingerprint != splits.train.fingerprint
    assert plain.fingerprint == splits.train.without_labels().fingerprint


def test_the_held_out_pictures_are_those_of_a_table_without_labels(pictures: Path) -> None:
    for seed in range(5):
        plain = load(table(pictures), split_seed=seed, val_fraction=0.3)
        several = load(table(pictures, labels=NAMED), split_seed=seed, val_fraction=0.3)
        assert (plain.val.images[:] == several.val.images[:]).all()


def test_no_group_of_numbers_is_on_two_sides(pictures: Path) -> None:
    groups = [f"p{n // 2 if n < 7 else n}" for n in range(10)]
    for seed in range(5):
        splits = load(
            table(pictures, target=NUMBERS, group=groups), val_fraction=0.3, split_seed=seed
        )
        assert sum(splits.num_groups.values()) == 7
        assert numbers(splits).items() <= {n: float(t or 0) for n, t in enumerate(NUMBERS)}.items()


def test_label_goes_before_labels_and_these_before_target(pictures: Path) -> None:
    single = ["a", "b"] * 5
    assert load(table(pictures, label=single, labels=NAMED, target=["x"] * 10)).classes is not None
    splits = load(table(pictures, labels=NAMED, target=["x"] * 10))
    assert splits.target_names == ("bird", "cat", "dog")
    splits = load(table(pictures, label=single, target=NUMBERS), target="target")
    assert splits.target_names == ("target",)
    assert splits.classes is None


def at(row: int, text: str, column: list[str]) -> list[str]:
    return [*column[:row], text, *column[row + 1 :]]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "tall", "1_000", "1e101", "0x10", "1;5"])
def test_what_is_no_number_is_refused_with_its_row(pictures: Path, text: str) -> None:
    with pytest.raises(SslcliError, match=f"row 3 of t.csv: the target is '{text}'") as error:
        load(table(pictures, target=at(2, text, NUMBERS)))
    assert error.value.fix


REFUSED = {
    "a class of test alone": ({"labels": at(8, "cat|fish", NAMED)}, {}, "row 9 .* 'fish' is in no"),
    "no classes": ({"labels": [""] * 10}, {}, "no training row has a label"),
    "no numbers": ({"target": [""] * 7 + ["1"] * 3}, {}, "no training row has a target"),
    "a test row without a number": ({"target": at(7, "", NUMBERS)}, {}, "row 8 .* without a targ"),
    "a column that lacks": ({"labels": NAMED}, {"labels": "findings"}, "data.labels: 'findings'"),
    "two kinds": (
        {"labels": NAMED, "age": NUMBERS},
        {"labels": "labels", "target": "age"},
        "data.labels=labels and data.target=age: a run learns",
    ),
    "label and labels": ({}, {"labels": "x", "label": "y"}, "data.label=y and data.labels=x"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_wrong_is_said(pictures: Path, fault: str) -> None:
    columns, settings, said = REFUSED[fault]
    with pytest.raises(SslcliError, match=said) as error:
        load(table(pictures, **columns), **settings)
    assert error.value.fix


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"path": "0.png", "labels": ["a|b"]}, r"the name 'a\|b'"),
        ({"path": "0.png", "labels": [["a"]]}, "a list where a text"),
        ({"path": "0.png", "labels": {"a": 1}}, "a dict where a text"),
        ({"path": "0.png", "target": [1.0]}, "a list where a text"),
        ({"path": ["0.png"], "labels": "a"}, "a list where a text"),
    ],
)
def test_lists_where_none_belong_are_refused(pictures: Path, row: object, said: str) -> None:
    (pictures / "t.jsonl").write_text(json.dumps(row))
    with pytest.raises(SslcliError, match=said):
        load(pictures / "t.jsonl")


def arrays(path: Path, **changed: np.ndarray) -> Splits:
    rng = np.random.default_rng(0)
    x = {f"x_{part}": rng.integers(0, 256, (n, 4, 4)).astype(np.uint8) for part, n in SIZES.items()}
    np.savez(path / "a.npz", **x, **changed)  # type: ignore[arg-type]
    return ArraysConfig(root=str(path / "a.npz"), val_fraction=0.25).load()


SIZES = {"train": 20, "test": 10}
RNG = np.random.default_rng(0)
SEVERAL = {f"y_{part}": RNG.integers(0, 2, (count, 3)) for part, count in SIZES.items()}
FLOATS = {f"y_{part}": RNG.normal(size=count) for part, count in SIZES.items()}
UNKNOWN = np.where(np.arange(20) == 4, np.nan, FLOATS["y_train"])


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_arrays_of_0_and_1_are_several_classes(tmp_path: Path, kind: type) -> None:
    given = {key: array.astype(kind) for key, array in SEVERAL.items()}
    splits = arrays(tmp_path, classes=np.array(list("abc")), **given)
    assert splits.target_names == ("a", "b", "c")
    train, val, test = (part.targets for part in parts_of(splits))
    assert train is not None
    assert val is not None
    assert (len(train), len(val), train.dtype) == (15, 5, np.bool_)
    assert np.array_equal(test, SEVERAL["y_test"])  # type: ignore[arg-type]
    assert sorted(map(tuple, [*train, *val])) == sorted(map(tuple, SEVERAL["y_train"] > 0))


def test_arrays_of_floats_are_numbers(tmp_path: Path) -> None:
    splits = arrays(tmp_path, **FLOATS)
    assert splits.target_names == ("y_train",)
    assert splits.test is not None
    assert splits.test.targets is not None
    assert np.array_equal(splits.test.targets[:, 0], FLOATS["y_test"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({**SEVERAL, "y_test": SEVERAL["y_test"] + 1}, "y_test .* of 0 and 1, as training's"),
        ({**SEVERAL, "y_test": SEVERAL["y_test"][:, :2]}, r"y_test .* \(10, 3\)"),
        ({**SEVERAL, "classes": np.array(["a"])}, "must name 3 classes"),
        ({**FLOATS, "y_test": SEVERAL["y_test"]}, "y_test .* a number for each of 10"),
        ({**FLOATS, "y_train": UNKNOWN}, "y_train .*: number 4 is nan"),
        ({**FLOATS, "y_train": FLOATS["y_train"][1:]}, "y_train .* for each of 20"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(SslcliError, match=said):
        arrays(tmp_path, **change)


def test_what_needs_one_class_refuses_them(tmp_path: Path) -> None:
    several, floats = arrays(tmp_path, **SEVERAL), arrays(tmp_path, **FLOATS)
    with pytest.raises(
        SslcliError, match=r"finetune needs one class a picture, .* several classes"
    ):
        require_labels(several, "finetune")
    with pytest.raises(SslcliError, match=r"finetune needs one class a picture, .* a number each"):
        require_labels(floats, "finetune")
    for splits in (several, floats):
        require_labels_or_targets(splits, "linear-eval")
        require_test(splits, "linear-eval")


def test_targets_that_teach_or_tell_nothing_are_refused(tmp_path: Path) -> None:
    splits = arrays(tmp_path, **{key: 0 * array + 2.5 for key, array in FLOATS.items()})
    with pytest.raises(SslcliError, match=r"the number is 2.5 in all"):
        require_labels_or_targets(splits, "linear-eval")
    splits = arrays(tmp_path, **SEVERAL)
    assert splits.val.targets is not None
    none = replace(splits, val=replace(splits.val, targets=np.zeros_like(splits.val.targets)))
    with pytest.raises(SslcliError, match="validation, where no picture has any"):
        require_labels_or_targets(none, "linear-eval")
    nothing = {**SEVERAL, "y_test": 0 * SEVERAL["y_test"]}
    with pytest.raises(SslcliError, match="no test picture has any of the classes"):
        require_test(arrays(tmp_path, **nothing), "linear-eval")
    untested = arrays(tmp_path, y_train=FLOATS["y_train"])
    with pytest.raises(SslcliError, match="the test pictures have none"):
        require_test(untested, "linear-eval")
