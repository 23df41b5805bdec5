"""Parquet files of pictures: which they are, what they are known by, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photos import contents
from tars import picture

from sslcli.data import parquet_bytes
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.parquet import ParquetConfig
from sslcli.data.parquet_bytes import ParquetBytes
from sslcli.data.table import TableConfig
from sslcli.errors import RunFailed, SslcliError
from sslcli.threads import map_in_threads

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sslcli.data.pixel_cache.STABLE_AFTER", 0)


def config(root: Path | str, **settings: Any) -> ParquetConfig:
    return ParquetConfig(root=str(root), **{"resolution": 8, **settings})


def write(file: Path, rows: int = 3, classes: Any = None, **columns: Any) -> Path:
    """Columns as given, in row groups of `rows`; `classes` by column, as Hugging Face keeps them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    if classes:
        features = {name: {"names": of, "_type": "ClassLabel"} for name, of in classes.items()}
        told = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(told)
    parquet.write_table(table, file, row_group_size=rows)
    return file


def pairs(pictures: list[bytes], first: int = 0) -> list[dict[str, Any]]:
    return [{"bytes": data, "path": f"{first + n}.jpg"} for n, data in enumerate(pictures)]


@pytest.fixture
def pictures() -> list[bytes]:
    return [picture() for _ in range(26)]


@pytest.fixture
def data(tmp_path: Path, pictures: list[bytes]) -> Path:
    """Two training files of ten rows, and a test file of six, in row groups of three."""
    folder = tmp_path / "set/data"
    for number, (name, at, count) in enumerate(
        (
            ("train-00000-of-00002", 0, 10),
            ("train-00001-of-00002", 10, 10),
            ("test-00000-of-00001", 20, 6),
        )
    ):
        write(
            folder / f"{name}-ab{number}.parquet",
            classes={"label": ["cat", "dog", "eel"]},
            image=pairs(pictures[at : at + count], at),
            label=[row % 3 for row in range(count)],
        )
    return folder


def test_files_in_linked_folders_are_read(data: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/data").symlink_to(data)
    _, stored = config(tmp_path / "linked").list_files()
    assert [len(part) for part in (stored.train, stored.test) if part] == [20, 6]


def test_rows_are_the_pictures_and_classes_that_were_written(
    data: Path, pictures: list[bytes]
) -> None:
    listing, stored = config(data).list_files()
    # Names of files are sorted, and training comes first.
    assert [listing.read(row) for row in range(26)] == pictures
    assert listing.names[11] == "train-00001-of-00002-ab1.parquet/1/11.jpg"
    assert stored.classes == ("cat", "dog", "eel")
    assert stored.train.labels is not None
    assert stored.train.labels.tolist() == [row % 3 for row in range(10)] * 2
    assert stored.test is not None
    assert stored.test.rows.tolist() == list(range(20, 26))


def test_the_pictures_are_those_of_the_same_files_in_a_folder(
    data: Path, pictures: list[bytes], tmp_path: Path
) -> None:
    for row, content in enumerate(pictures):
        file = tmp_path / "folder" / ("test" if row >= 20 else "train") / f"{row:03}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def pixels(settings: FolderConfig) -> list[set[bytes]]:
        splits = settings.load()
        assert splits.test is not None
        trained = [*splits.train.images[:], *splits.val.images[:]]
        return [{p.tobytes() for p in trained}, {p.tobytes() for p in splits.test.images[:]}]

    assert pixels(config(data)) == pixels(FolderConfig(root=str(tmp_path / "folder"), resolution=8))


@pytest.mark.parametrize("how", list(Cache))
@pytest.mark.parametrize("workers", [1, 4])
def test_they_are_alike_wherever_the_pixels_are_kept(data: Path, how: Cache, workers: int) -> None:
    splits = config(data, cache=how, workers=workers).load()
    again = config(data, cache=how, workers=workers).load()
    assert contents(splits) == contents(again) == contents(config(data).load())


@pytest.mark.parametrize("kind", ["pairs", "bytes", "large"])
def test_each_layout_of_the_column_is_read(
    tmp_path: Path, kind: str, pictures: list[bytes]
) -> None:
    cells: dict[str, Any] = {
        "pairs": pairs(pictures),
        "bytes": pyarrow.array(pictures, pyarrow.binary()),
        "large": pyarrow.array(pictures, pyarrow.large_binary()),
    }
    path = write(tmp_path / "a.parquet", rows=7, photo=cells[kind])
    listing, stored = config(path).list_files()
    assert [listing.read(row) for row in reversed(range(26))] == pictures[::-1]
    assert stored.classes is None


def test_a_row_group_is_read_once_for_many_pictures(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []
    actually = ParquetBytes._read_group

    def counting(self: ParquetBytes, number: int, group: int) -> Any:
        read.append((number, group))
        return actually(self, number, group)

    monkeypatch.setattr(ParquetBytes, "_read_group", counting)
    monkeypatch.setattr(parquet_bytes, "MOST_KEPT", 1)  # two groups stay all the same
    listing, _ = config(data).list_files()
    for row in (0, 1, 2, 3, 2, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11):  # two threads at a border
        listing.read(row)
    assert len(read) == 5


def test_threads_read_the_right_rows(data: Path, pictures: list[bytes]) -> None:
    listing, _ = config(data).list_files()
    rows = np.random.default_rng(0).integers(0, 26, 400)
    read = list(map_in_threads(lambda i: listing.read(int(rows[i])), len(rows), 8))
    assert read == [pictures[row] for row in rows]


def test_columns_are_read_as_they_are_typed(tmp_path: Path, pictures: list[bytes]) -> None:
    path = write(
        tmp_path / "a.parquet",
        classes={"fine": ["a", "b"]},
        img=pairs(pictures[:6]),
        fine=[0, 1, 0, 1, -1, None],
        who=[1, 1, 2, 2, 3, 3],
        age=[1.5, 2, 3, None, 5, 6],
        tags=[["x"], ["x", "y"], [], None, ["y"], ["y"]],
    )
    listing, stored = config(path, label="fine", groups="who").list_files()
    assert stored.classes == ("a", "b")
    assert stored.train.labels is not None
    assert stored.train.labels.tolist() == [0, 1, 0, 1]
    assert stored.train.groups is not None
    assert stored.train.groups.tolist() == [0, 0, 1, 1]
    assert stored.unlabelled is not None
    assert stored.unlabelled.rows.tolist() == [4, 5]
    _, stored = config(path, target="age").list_files()
    assert stored.train.targets is not None
    assert stored.train.targets[:, 0].tolist() == [1.5, 2, 3, 5, 6]
    _, stored = config(path, labels="tags", groups=r"/(\d)\.jpg").list_files()
    assert stored.train.targets is not None
    assert stored.train.targets.tolist() == [
        [True, False], [True, True], [False, False], [False, False], [False, True], [False, True],
    ]  # fmt: skip
    assert stored.train.groups is not None
    assert stored.train.groups.tolist() == list(range(6))
    assert len(listing) == 6


ONE = [{"bytes": b"x", "path": "a"}]


@pytest.mark.parametrize(
    ("columns", "settings", "wrong"),
    [
        ({"path": ["a.png"]}, {}, "no column of pictures: its columns are path"),
        ({"a": [b"x"], "b": [b"y"]}, {}, "several columns of bytes: a, b"),
        ({"image": ONE, "n": [1]}, {"picture": "n"}, "'n' of .* holds int64"),
        ({"image": ONE}, {"picture": "imago"}, "imago"),
        ({"image": ONE, "label": [0]}, {"label": "lable"}, "lable"),
        ({"image": ONE, "label": [0]}, {"groups": "who"}, "who"),
        ({"image": ONE, "label": [7], "classes": {"label": ["a", "b"]}}, {}, "7 is none of the 2"),
        ({"image": ONE, "target": [[1, 2]]}, {}, "has a list where"),
    ],
)
def test_columns_that_are_not_as_they_should_be_are_refused(
    tmp_path: Path, columns: Any, settings: dict[str, str], wrong: str
) -> None:
    with pytest.raises(SslcliError, match=wrong):
        config(write(tmp_path / "a.parquet", **columns), **settings).list_files()


def test_files_of_which_some_lack_the_label_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", image=ONE, label=[0])
    write(tmp_path / "b.parquet", image=ONE)
    with pytest.raises(SslcliError, match="have not both the column 'label'"):
        config(tmp_path).list_files()


def test_a_row_without_bytes_is_named_with_its_path(tmp_path: Path, pictures: list[bytes]) -> None:
    cells = [*pairs(pictures[:3]), {"bytes": None, "path": "elsewhere.jpg"}, None]
    path = write(tmp_path / "a.parquet", image=cells)
    with pytest.raises(
        SslcliError,
        match=r"2 of 5 .*3/elsewhere\.jpg: the row holds no bytes: only its path, elsewhere\.jpg",
    ):
        config(path).load()


def test_a_file_that_is_cut_off_or_changes_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "train-00001-of-00002-ab1.parquet"
    whole = path.read_bytes()
    splits = config(data, cache=Cache.none).load()
    path.write_bytes(whole + b"more")
    monkeypatch.setattr(parquet_bytes, "MOST_KEPT", 1)  # two groups of those read before stay
    with pytest.raises(RunFailed, match="changed since it was listed"):
        splits.train.images[np.arange(len(splits.train))]
    for content in (whole[:-100], whole[:100], b""):
        path.write_bytes(content)
        with pytest.raises(SslcliError, match=r"ab1\.parquet cannot be read as parquet"):
            config(data).list_files()


def test_none_is_refused_where_every_picture_would_cost_a_row_group(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_bytes, "MOST_KEPT", 1000)
    with pytest.raises(SslcliError, match="whole row groups") as caught:
        config(data, cache=Cache.none).list_files()
    assert caught.value.fix.startswith("data.cache=disk")


def test_a_pattern_of_groups_counts_where_a_table_has_a_column_group_too(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())
    (tmp_path / "b.jpg").write_bytes(picture())
    (tmp_path / "t.csv").write_text("path,group\na.jpg,1\nb.jpg,1\n")
    _, stored = TableConfig(root=str(tmp_path / "t.csv"), groups=r"(.)\.jpg").list_files()
    assert stored.train.groups is not None
    assert stored.train.groups.tolist() == [0, 1]
