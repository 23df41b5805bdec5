"""Folders as systems and people leave them: what is passed over, what is a part, what is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sslcli.data.folder import FolderConfig
from sslcli.data.images import Splits
from sslcli.data.parts import PARTS, guess_part
from sslcli.data.picture_names import is_picture
from sslcli.errors import SslcliError

LEFT_BEHIND = (
    "__MACOSX", ".ipynb_checkpoints", "@eaDir", ".Trashes", "lost+found", "$RECYCLE.BIN",
    "System Volume Information", "#recycle", ".@__thumb", ".Spotlight-V100", "__pycache__",
)  # fmt: skip


def fill(folder: Path, count: int, shade: int) -> None:
    """`count` pictures, each of a shade of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", (8, 8), (shade, index, 0)).save(folder / f"{index}.png")


def parted(root: Path, train: str = "train", test: str = "test", **others: str) -> Path:
    for shade, name in enumerate((train, test, *others.values())):
        fill(root / name / "cat", 6, 10 * shade)
        fill(root / name / "dog", 6, 10 * shade + 1)
    return root


def load(root: Path) -> Splits:
    return FolderConfig(root=str(root), resolution=8, val_fraction=0.2).load()


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_systems_leave_behind_is_no_class_and_no_part(tmp_path: Path, name: str) -> None:
    parted(tmp_path)
    expected = load(tmp_path)
    for folder in (tmp_path, tmp_path / "train", tmp_path / "train" / "cat", tmp_path / "test"):
        fill(folder / name / "a.png", 2, 200)  # Synology: a folder named like the picture
        fill(folder / name, 2, 200)
    found = load(tmp_path)
    assert found.fingerprint == expected.fingerprint
    assert found.classes == ("cat", "dog")
    assert found.warnings == expected.warnings == ()


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_beside_it_the_parts_one_folder_down_are_still_refused(tmp_path: Path, name: str) -> None:
    inner = parted(tmp_path / "photos")
    fill(tmp_path / name / "photos", 2, 200)
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "Thumbs.db").touch()
    with pytest.raises(SslcliError, match="one folder, which has train/ and test/") as caught:
        load(tmp_path)
    assert caught.value.fix == f"data.root={inner}"


@pytest.mark.parametrize(
    "folder", ["photos", "a/b/photos", "photos/v1.0"], ids=["one", "three", "two"]
)
def test_parts_are_found_at_any_depth_and_beside_other_folders(tmp_path: Path, folder: str) -> None:
    inner = parted(tmp_path / folder, "Training", "Testing")
    fill(tmp_path / "more", 3, 99)
    with pytest.raises(SslcliError, match="has Training/ and Testing/") as caught:
        load(tmp_path)
    assert f"data.root={inner}" in caught.value.fix
    assert load(inner).test is not None


def test_parts_below_every_class_are_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name / "train", 4, 1)
        fill(tmp_path / name / "test", 4, 2)
    with pytest.raises(SslcliError, match=r"cat has train/ and test/") as caught:
        load(tmp_path)
    assert f"move the parts up: {tmp_path}/train" in caught.value.fix


@pytest.mark.parametrize("name", ["._0.png", ".hidden.jpg", "Thumbs.db", "desktop.ini", "Icon\r"])
def test_no_picture_is_made_of_what_systems_leave(name: str) -> None:
    assert not is_picture(name)


@pytest.mark.parametrize(
    ("train", "test", "val"),
    [
        ("Training", "Testing", "Validation"),
        ("TRAIN", "TEST", "VAL"),
        ("Train", "Test", "Valid"),
        ("training", "testing", "validation"),
    ],
)
def test_spellings_of_parts_are_parts(tmp_path: Path, train: str, test: str, val: str) -> None:
    splits = load(parted(tmp_path, train, test, val=val))
    assert splits.classes == ("cat", "dog")
    assert splits.test is not None
    assert (len(splits.train), len(splits.val), len(splits.test)) == (12, 12, 12)
    assert splits.warnings == ()
    assert splits.test.paths is not None
    assert all(path.startswith(str(tmp_path / test)) for path in splits.test.paths)


def test_two_spellings_of_a_part_are_refused(tmp_path: Path) -> None:
    for one, other in (("train", "Training"), ("test", "TEST"), ("val", "validation")):
        root = parted(tmp_path / one)
        fill(root / one / "cat", 1, 77)
        fill(root / other / "cat", 1, 78)
        with pytest.raises(SslcliError, match="are the same part of the data"):
            load(root)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train2017", "val2017"),
        ("train_images", "test_images"),
        ("trainset", "testset"),
        ("01 Training set", "02 Validation set"),
        ("images-train", "images-test"),
    ],
)
def test_what_looks_like_parts_is_asked_about(tmp_path: Path, train: str, test: str) -> None:
    with pytest.raises(SslcliError, match="look like parts of the data") as caught:
        load(parted(tmp_path, train, test))
    assert train in caught.value.message
    assert test in caught.value.message
    assert "name them train/" in caught.value.fix
    (tmp_path / train).rename(tmp_path / "train")
    (tmp_path / test).rename(tmp_path / "test")
    assert load(tmp_path).test is not None


def test_test_pictures_among_classes_are_asked_about(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 5, 1)
    fill(tmp_path / "dog", 5, 2)
    fill(tmp_path / "test_images", 5, 3)
    with pytest.raises(SslcliError, match="test_images/, which look like parts"):
        load(tmp_path)
    (tmp_path / "test_images").rename(tmp_path / "class-test_images")
    assert load(tmp_path).classes == ("cat", "class-test_images", "dog")


def test_beside_the_parts_it_is_said_how_to_have_it_read(tmp_path: Path) -> None:
    parted(tmp_path, "train", "test_images")
    assert load(tmp_path).warnings == (
        "left out, beside train/: test_images/",
        "test_images/ looks like test pictures and is left out: name it test/",
    )
    parted(tmp_path, "train", "test")
    assert load(tmp_path).warnings[1].endswith("left out: merge it with test/")


def test_the_training_pictures_are_named_where_only_they_are_missing(tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match="has test/ but no train/") as caught:
        load(parted(tmp_path, "train_images", "test"))
    assert caught.value.fix == "rename train_images/ to train/"


@pytest.mark.parametrize(
    "name",
    ["train_station", "bullet train", "test tube", "trainer", "valley", "contest", "2017", "data",
     "latest", "train_test", "поезд"],
)  # fmt: skip
def test_things_are_no_parts(name: str) -> None:
    assert guess_part(name) is None


def test_every_known_spelling_resembles_its_part() -> None:
    for name, part in PARTS.items():
        assert guess_part(name) == guess_part(name.upper()) == part
