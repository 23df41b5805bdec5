"""Trees of pictures: parts, classes, what is left out, what is refused."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from sslcli.data.folder import FolderConfig
from sslcli.errors import SslcliError

T = TypeVar("T")


def fill(folder: Path, count: int, shade: int = 50, ending: str = "png") -> None:
    """`count` pictures, no two alike: their green is their number, one corner names the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    corner = zlib.crc32(str(folder).encode())
    for index in range(count):
        picture = Image.new("RGB", (10, 8), (shade, index, 0))
        picture.putpixel((0, 0), (corner >> 16 & 255, corner >> 8 & 255, corner & 255))
        picture.save(folder / f"{index:03}.{ending}")


def config(root: Path, **settings: object) -> FolderConfig:
    return FolderConfig(root=str(root), resolution=8, **settings)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """train/ of 20 + 10, test/ of 4 + 4; shade 50 is a cat, 100 a dog."""
    for part, cats, dogs in (("train", 20, 10), ("test", 4, 4)):
        fill(tmp_path / part / "cat", cats, 50)
        fill(tmp_path / part / "dog", dogs, 100)
    return tmp_path


def test_validation_is_held_out_of_train_and_test_is_kept(tree: Path) -> None:
    splits = config(tree).load()
    assert splits.classes == ("cat", "dog")
    assert splits.test is not None
    assert (len(splits.train), len(splits.val), len(splits.test)) == (27, 3, 8)
    assert splits.val.labels is not None
    assert np.bincount(splits.val.labels).tolist() == [2, 1]
    for part in (splits.train, splits.val, splits.test):
        assert part.labels is not None
        assert part.paths is not None
        np.testing.assert_array_equal(part.images[:, 4, 4, 0], np.where(part.labels == 0, 50, 100))
        assert [Path(path).parent.name for path in part.paths] == [
            splits.classes[i] for i in part.labels
        ]
    assert not set(splits.train.paths or ()) & set(splits.val.paths or ())
    assert splits.test.paths == tuple(sorted(map(str, (tree / "test").rglob("*.png"))))
    assert splits.warnings == ()


def test_a_folder_around_the_parts_is_refused_with_the_right_one(tree: Path) -> None:
    (tree.parent / "around").mkdir()
    inner = tree.rename(tree.parent / "around/photos")
    with pytest.raises(SslcliError, match="holds one folder, which has train/ and test/") as caught:
        config(inner.parent).load()
    assert str(inner) in caught.value.fix


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_validation_folder_is_used(tree: Path, name: str) -> None:
    fill(tree / name / "dog", 5, 100)
    splits = config(tree).load()
    assert (len(splits.train), len(splits.val)) == (30, 5)
    assert splits.val.labels is not None
    assert (splits.val.labels == 1).all()


def test_class_folders_without_parts_have_no_test(tmp_path: Path) -> None:
    fill(tmp_path / "b", 10)
    fill(tmp_path / "a" / "deeper" / "still", 10)
    splits = config(tmp_path).load()
    assert splits.classes == ("a", "b")
    assert splits.test is None
    assert len(splits.train) + len(splits.val) == 20


def test_a_flat_tree_has_no_labels(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    splits = config(tmp_path).load()
    assert splits.classes is None
    assert splits.train.labels is None
    assert (len(splits.train), len(splits.val)) == (9, 1)
    assert splits.warnings == ()


def test_pictures_beside_class_folders_mean_no_labels_and_a_warning(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    fill(tmp_path / "cat", 7)
    splits = config(tmp_path).load()
    assert splits.train.labels is None
    assert len(splits.train) + len(splits.val) == 10
    assert "no labels" in splits.warnings[0]


def test_what_is_hidden_or_no_picture_is_left_out(tree: Path) -> None:
    expected = config(tree).load()
    (tree / "train" / "cat" / "notes.txt").write_text("x")
    (tree / "train" / "cat" / ".hidden.png").write_text("x")
    (tree / "train" / "cat" / "._000.png").write_text("x")
    (tree / "train" / ".cache").mkdir()
    (tree / "train" / ".cache" / "a.png").write_text("x")
    (tree / "train" / "empty class").mkdir()
    (tree / "README.md").write_text("x")
    splits = config(tree).load()
    assert splits.fingerprint == expected.fingerprint
    assert splits.classes == expected.classes
    assert splits.warnings == ()


def test_a_folder_beside_the_parts_is_left_out_with_a_warning(tree: Path) -> None:
    fill(tree / "extra", 3)
    assert config(tree).load().warnings == ("left out, beside train/: extra/",)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_itself_is_no_folder(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    assert len(config(tmp_path).load().train) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", 4)
    fill(tmp_path / "tree" / "cat", 4)
    (tmp_path / "tree" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tree" / "cat" / "loop").symlink_to(tmp_path / "tree")
    splits = config(tmp_path / "tree").load()
    assert splits.classes == ("cat", "dog")
    assert len(splits.train) + len(splits.val) == 8


def test_names_of_any_script_are_read(tmp_path: Path) -> None:
    fill(tmp_path / "кошка 猫", 3)
    fill(tmp_path / "Häschen (klein)", 3)
    assert config(tmp_path).load().classes == ("Häschen (klein)", "кошка 猫")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes there")
def test_a_bad_picture_whose_name_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    fill(tmp_path, 9)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_text("x")
    splits = config(tmp_path, max_bad=0.5).load()
    assert splits.warnings[0].encode("utf-8").endswith(b".png: not a picture that can be read")


def test_endings_in_capitals_count(tmp_path: Path) -> None:
    fill(tmp_path, 4, ending="JPG")
    assert len(config(tmp_path).load().train) == 3


def test_the_same_tree_gives_the_same_data_for_any_number_of_workers(tree: Path) -> None:
    assert len({config(tree, workers=workers).load().fingerprint for workers in (1, 3, None)}) == 1
    assert config(tree, split_seed=1).load().fingerprint != config(tree).load().fingerprint


def test_limit_comes_before_decoding(tree: Path) -> None:
    seen: list[int] = []

    def track(items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
        assert label == "decoding pictures"
        seen.append(total)
        return items

    splits = config(tree, limit=6).load(track)
    assert splits.train.labels is not None
    assert np.bincount(splits.train.labels).tolist() == [4, 2]
    assert seen == [6 + 3 + 8]


def test_bad_pictures_are_left_out_and_named(tree: Path) -> None:
    for index in range(2):
        (tree / "train" / "cat" / f"bad{index}.jpg").write_text("x")
    splits = config(tree, max_bad=0.5, val_fraction=0.01).load()
    total = len(splits.train) + len(splits.val)
    assert total == 30
    assert splits.warnings[0].startswith("validation has no picture of 1 of the 2 classes: ")
    assert sorted(splits.warnings[1:]) == [
        f"could not be decoded, left out: train/cat/bad{index}.jpg: not a picture that can be read"
        for index in range(2)
    ]
    assert splits.train.labels is not None
    np.testing.assert_array_equal(
        splits.train.images[:, 4, 4, 0], np.where(splits.train.labels == 0, 50, 100)
    )


def test_no_more_than_twenty_are_named(tmp_path: Path) -> None:
    fill(tmp_path, 40)
    for index in range(25):
        (tmp_path / f"bad{index}.png").touch()
    warnings = config(tmp_path, max_bad=0.9).load().warnings
    assert len(warnings) == 21
    assert warnings[-1] == "and 5 more pictures could not be decoded"


def test_too_many_bad_pictures_are_refused_and_the_fix_works(tmp_path: Path) -> None:
    fill(tmp_path, 95)
    for index in range(5):
        (tmp_path / f"bad{index}.png").touch()
    with pytest.raises(
        SslcliError, match=r"5 of 100 pictures .* data.max_bad=0.01 .* bad\d.png"
    ) as caught:
        config(tmp_path).load()
    assert caught.value.fix.endswith("data.max_bad=0.05")
    assert len(config(tmp_path, max_bad=0.05).load().warnings) == 5


def test_a_part_without_one_good_picture_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", 20)
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "a.png").touch()
    with pytest.raises(SslcliError, match=r"no val picture could be decoded: .*a\.png"):
        config(tmp_path, max_bad=0.5).load()


def test_one_class_folder_is_one_class(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 5)
    assert config(tmp_path).load().classes == ("cat",)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match=r"data\.root does not exist"):
        config(tmp_path / "nowhere").load()
    (tmp_path / "file").touch()
    with pytest.raises(SslcliError, match=r"data\.root is not a folder"):
        config(tmp_path / "file").load()


def test_a_tree_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match="there are no pictures in"):
        config(tmp_path).load()


def test_an_empty_part_is_an_error(tree: Path) -> None:
    (tree / "val").mkdir()
    with pytest.raises(SslcliError, match=r"there are no pictures in .*val"):
        config(tree).load()


def test_parts_without_train_are_an_error(tmp_path: Path) -> None:
    fill(tmp_path / "test", 3)
    with pytest.raises(SslcliError, match="has test/ but no train/"):
        config(tmp_path).load()


def test_two_validation_folders_are_an_error(tree: Path) -> None:
    fill(tree / "val", 3)
    fill(tree / "valid", 3)
    with pytest.raises(SslcliError, match="the same part"):
        config(tree).load()


def test_a_class_that_only_test_has_is_an_error(tree: Path) -> None:
    fill(tree / "test" / "bird", 3)
    with pytest.raises(SslcliError, match="class folder 'bird'"):
        config(tree).load()


def test_a_single_picture_cannot_be_split(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with pytest.raises(SslcliError, match="at least 2 training pictures"):
        config(tmp_path).load()


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "photos", 4)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(FolderConfig(root="~/photos", resolution=8).load().train) == 3


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"resolution": 0}, "data.resolution"),
        ({"channels": 2}, "data.channels"),
        ({"max_bad": 1.0}, "data.max_bad"),
        ({"max_bad": -0.1}, "data.max_bad"),
        ({"workers": 0}, "data.workers"),
        ({"limit": 0}, "data.limit"),
        ({"val_fraction": 0.0}, "data.val_fraction"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], field: str) -> None:
    with pytest.raises(SslcliError, match=field):
        FolderConfig(root="x", **settings)  # type: ignore[arg-type]
