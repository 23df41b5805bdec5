"""Tables of pictures: what each cell means, and that none is misread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.data.images import Splits
from sslcli.data.table import TableConfig
from sslcli.errors import SslcliError

HEADER = "path,label,part,patient"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve pictures; the number of each is its grey."""
    (tmp_path / "all").mkdir()
    for number in range(12):
        Image.new("L", (8, 8), number).save(tmp_path / "all" / f"{number}.png")
    return tmp_path


def rows() -> list[list[str]]:
    """Two classes; the last four pictures are test; two pictures of each patient."""
    parts = ["train"] * 8 + ["test"] * 4
    return [[f"all/{n}.png", "cat" if n % 2 else "dog", parts[n], f"p{n // 2}"] for n in range(12)]


def written(root: Path, lines: list[str], name: str = "t.csv", encoding: str = "utf-8") -> Path:
    (root / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return root / name


def table(root: Path, cells: list[list[str]], name: str = "t.csv") -> Path:
    return written(root, [HEADER, *map(",".join, cells)], name)


def load(file: Path, **settings: object) -> Splits:
    config = TableConfig(root=str(file), resolution=8, max_bad=0.0, **settings)  # type: ignore[arg-type]
    return config.load()


def seen(splits: Splits) -> dict[int, str]:
    """The class of every picture that has one, by the number that its pixels tell."""
    found = {}
    for part in (splits.train, splits.val, splits.test):
        assert part is not None
        if part.labels is not None:
            assert splits.classes is not None
            greys = part.images[:][:, 0, 0, 0].tolist()
            names = [splits.classes[label] for label in part.labels.tolist()]
            found.update(zip(greys, names, strict=True))
    return found


TRUE = {n: "cat" if n % 2 else "dog" for n in range(12)}


def test_each_picture_has_its_own_label_and_part(pictures: Path) -> None:
    splits = load(table(pictures, rows()))
    assert seen(splits) == TRUE
    assert splits.test is not None
    assert sorted(splits.test.images[:][:, 0, 0, 0].tolist()) == [8, 9, 10, 11]
    assert splits.train.groups is None


def test_no_patient_is_on_two_sides(pictures: Path) -> None:
    for seed in range(20):
        splits = load(table(pictures, rows()), groups="patient", val_fraction=0.3, split_seed=seed)
        train, val = (
            {grey // 2 for grey in part.images[:][:, 0, 0, 0].tolist()}
            for part in (splits.train, splits.val)
        )
        assert not train & val
        assert splits.num_groups == {"training": 3, "validation": 1, "test": 2}


def as_tsv(root: Path) -> Path:
    return written(root, ["\t".join(row) for row in [HEADER.split(","), *rows()]], "t.tsv")


def as_semicolons(root: Path) -> Path:
    return written(root, [";".join(row) for row in [HEADER.split(","), *rows()]], "s.csv")


def as_json(root: Path) -> Path:
    named = [dict(zip(HEADER.split(","), row, strict=True)) for row in rows()]
    return written(root, [json.dumps(row) for row in named], "t.jsonl")


def with_mark(root: Path) -> Path:
    lines = [HEADER, *map(",".join, rows())]
    return written(root, lines, "mark.csv", "utf-8-sig")


def as_parquet(root: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = zip(*rows(), strict=True)
    named = dict(zip(HEADER.split(","), map(list, columns), strict=True))
    parquet.write_table(pyarrow.table(named), root / "t.parquet")
    return root / "t.parquet"


def quoted(root: Path) -> Path:
    lines = [",".join(f'"{cell} "' if "." not in cell else cell for cell in row) for row in rows()]
    return written(root, [HEADER, *lines], "q.csv")


@pytest.mark.parametrize("write", [as_tsv, as_semicolons, as_json, with_mark, as_parquet, quoted])
def test_every_kind_of_table_says_the_same(pictures: Path, write: object) -> None:
    file = write(pictures)  # type: ignore[operator]
    splits = load(file, groups="patient")
    assert seen(splits) == TRUE
    assert splits.fingerprint == load(table(pictures, rows()), groups="patient").fingerprint


def test_a_list_of_paths(pictures: Path) -> None:
    file = written(pictures / "all", [f"{n}.png" for n in range(12)], "list.txt")
    splits = load(file)
    assert splits.train.labels is None
    assert len(splits.train) + len(splits.val) == 12


def test_paths_may_begin_elsewhere_or_be_whole(pictures: Path) -> None:
    cells = [[str(pictures / row[0]), *row[1:]] for row in rows()]
    (pictures / "tables").mkdir()
    assert seen(load(table(pictures / "tables", cells))) == TRUE
    file = table(pictures / "tables", rows())
    assert seen(load(file, pictures=str(pictures))) == TRUE


def test_pictures_without_a_label_are_pretrained_on_only(pictures: Path) -> None:
    cells = rows()
    cells[0][1] = cells[3][1] = ""
    splits = load(table(pictures, cells))
    assert splits.unlabelled is not None
    assert splits.unlabelled.images[:][:, 0, 0, 0].tolist() == [0, 3]
    assert seen(splits) == {n: name for n, name in TRUE.items() if n not in (0, 3)}
    assert len(splits.pretraining) == len(splits.train) + 2
    joined = splits.pretraining.images[np.array([0, len(splits.train) + 1])]
    assert joined[:, 0, 0, 0].tolist() == [splits.train.images[:1][0, 0, 0, 0], 3]


def test_an_unlabelled_picture_of_a_held_out_patient_is_left_out(pictures: Path) -> None:
    cells = rows()
    for row in (1, 2, 5, 6):
        cells[row][1] = ""
    for seed in range(10):
        splits = load(table(pictures, cells), groups="patient", val_fraction=0.3, split_seed=seed)
        held = {grey // 2 for grey in splits.val.images[:][:, 0, 0, 0].tolist()}
        used = {grey // 2 for grey in splits.pretraining.images[:][:, 0, 0, 0].tolist()}
        assert held
        assert not held & used


def test_classes_that_are_numbers_stand_in_their_order(pictures: Path) -> None:
    cells = [[row[0], str(9 + index % 2), *row[2:]] for index, row in enumerate(rows())]
    assert load(table(pictures, cells)).classes == ("9", "10")


def changed(row: int, column: int, text: str) -> list[str]:
    cells = rows()
    cells[row][column] = text
    return [HEADER, *map(",".join, cells)]


REFUSED = {
    "a column that is missing": (
        ["file,label", "a.png,cat"],
        {},
        "no column of t.csv for data.path",
    ),
    "two columns of one name": (["path,path", "a,b"], {}, "several columns 'path'"),
    "an unknown part": (changed(2, 2, "dev"), {}, "row 3 of t.csv: the part is 'dev'"),
    "a picture twice": (changed(3, 0, "all/./2.png"), {}, "row 4 of t.csv"),
    "a class of test alone": (changed(9, 1, "bird"), {}, "'bird' is in no training row"),
    "a test row without a label": (changed(9, 1, ""), {}, "a test row without a label"),
    "a row without a path": (changed(9, 0, ""), {}, "row 10 of t.csv has no path"),
    "a missing cell": ([HEADER, "all/1.png,cat"], {}, "line 2 of"),
    "one cell too many": ([HEADER, "all/1.png,cat,train,p,q"], {}, "has 5 cells"),
    "a quote that is never closed": ([HEADER, 'all/1.png,"cat,train,p'], {}, "cannot be read"),
    "no rows": ([HEADER], {}, "has no rows"),
    "no training rows": ([HEADER, "all/1.png,cat,test,p"], {}, "no training row"),
    "no picture there": ([HEADER, "x.png,cat,train,p"], {}, "none of the 1 pictures"),
    "one picture lacks": (changed(1, 0, "all/99.png"), {}, "could not be decoded"),
    "a patient in two parts": (
        changed(9, 3, "p0"),
        {"groups": "patient"},
        "both train and test: 'p0'",
    ),
    "a group column that lacks": (changed(9, 3, "p0"), {"groups": "slide"}, "'slide'"),
    "a label column that lacks": (changed(9, 3, "p0"), {"label": "class"}, "'class'"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_wrong_with_a_table_is_said(pictures: Path, fault: str) -> None:
    lines, settings, said = REFUSED[fault]
    file = written(pictures, lines)
    with pytest.raises(SslcliError) as error:
        load(file, **settings)
    assert said in f"{error.value}"
    assert error.value.fix


@pytest.mark.parametrize("row", [3, 9])
def test_a_picture_named_by_a_whole_path_and_a_relative_one_is_refused(
    pictures: Path, row: int
) -> None:
    cells = rows()
    cells[row][0] = str(pictures / "all/2.png")
    with pytest.raises(SslcliError, match=f"row {row + 1} of .*2.png is the picture of row 3 of"):
        load(table(pictures, cells))


def as_lines(cells: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(HEADER.split(","), row, strict=True)) for row in cells]


@pytest.mark.parametrize("column", ["part", "label"])
def test_a_column_that_the_first_json_line_lacks_is_refused(pictures: Path, column: str) -> None:
    lines = as_lines(rows())
    del lines[0][column]
    file = written(pictures, list(map(json.dumps, lines)), "t.jsonl")
    with pytest.raises(SslcliError, match=rf"line 2 of .* has '{column}', which the first line"):
        load(file)


def test_what_is_not_read_may_stand_on_some_json_lines_only(pictures: Path) -> None:
    lines = as_lines(rows())
    lines[3]["note"] = "blurred"
    lines[5]["target"] = "7"  # the first line has a label, which is read in its place
    del lines[7]["patient"]
    file = written(pictures, list(map(json.dumps, lines)), "t.jsonl")
    assert seen(load(file)) == TRUE


def test_a_table_that_is_not_utf8(pictures: Path) -> None:
    file = written(pictures, [HEADER, "all/1.png,chât,train,p"], encoding="latin-1")
    with pytest.raises(SslcliError, match="is not UTF-8"):
        load(file)
