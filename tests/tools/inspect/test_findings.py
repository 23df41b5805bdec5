"""Each fault is found in a folder that has it, and nothing else is."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import Sslcli
from PIL import Image

SIDE = 48


def picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Soft coloured blots of its own: none looks like another."""
    blots = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(blots).resize(size, Image.Resampling.BICUBIC)


def save(folder: Path, first: int, count: int, ending: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        picture(seed).save(folder / f"{seed}.{ending}")


@pytest.fixture(scope="session")
def sound_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    save(folder / "train/a", 0, 12)
    save(folder / "train/b", 100, 12)
    save(folder / "test/a", 200, 3)
    save(folder / "test/b", 300, 3)
    return folder


@pytest.fixture
def sound(sound_source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_source, tmp_path / "pictures"))


@pytest.fixture
def inspect(sslcli: Sslcli, plainly: None) -> Callable[..., dict[str, Any]]:
    def run(*words: str | Path) -> dict[str, Any]:
        outcome = sslcli("inspect", *map(str, words), "--json", "-")
        assert outcome.status == 0, outcome.err
        return dict(json.loads(outcome.out))

    return run


Inspect = Callable[..., dict[str, Any]]


def kinds(found: dict[str, Any]) -> list[str]:
    return [finding["kind"] for finding in found["findings"]]


def leave_alone(folder: Path) -> None: ...


def copy_into_test(folder: Path) -> None:
    shutil.copy(folder / "train/a/3.png", folder / "test/a/of-train.png")


def resave_into_test(folder: Path) -> None:
    picture(103).resize((64, 64)).save(folder / "test/b/smaller.jpg", quality=80)


def copy_within(folder: Path) -> None:
    shutil.copy(folder / "train/a/3.png", folder / "train/a/again.png")


def resave_within(folder: Path) -> None:
    picture(103).save(folder / "train/b/again.jpg", quality=80)


def resave_into_other_class(folder: Path) -> None:
    picture(103).save(folder / "train/a/again.jpg", quality=80)


def put_into_two_classes(folder: Path) -> None:
    shutil.copy(folder / "train/a/3.png", folder / "train/b/also.png")


def cut_off(folder: Path) -> None:
    content = (folder / "train/a/3.png").read_bytes()
    (folder / "train/a/3.png").write_bytes(content[: len(content) // 2])


def put_text(folder: Path) -> None:
    (folder / "train/a/notes.jpg").write_text("no picture")


def put_blank(folder: Path) -> None:
    Image.new("RGB", (SIDE, SIDE), (200, 10, 10)).save(folder / "train/a/blank.png")


def put_sixteen_bits(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    for number in range(4):
        levels = np.asarray(picture(number).convert("L")).astype(np.uint16) * 257
        Image.fromarray(levels).save(folder / f"train/a/{number}.png")


def make_all_sixteen_bits(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        levels = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 257
        Image.fromarray(levels).save(path)


def put_many_channels(folder: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    levels = np.asarray(picture(800))
    levels = np.dstack([levels, levels[..., :2]])
    file = folder / "train/a/five.tif"
    tifffile.imwrite(file, levels, planarconfig="contig", photometric="minisblack")


def animate(folder: Path) -> None:
    frames = [picture(seed).convert("P") for seed in (900, 901)]
    frames[0].save(folder / "train/a/film.gif", save_all=True, append_images=frames[1:])


def add_small_class(folder: Path) -> None:
    save(folder / "train/rare", 700, 3)
    save(folder / "test/rare", 710, 1)


def leave_class_out_of_test(folder: Path) -> None:
    shutil.rmtree(folder / "test/b")


def enlarge_class(folder: Path) -> None:
    save(folder / "train/a", 1000, 120)


def put_grey(folder: Path) -> None:
    picture(800).convert("L").save(folder / "train/a/grey.png")


def put_wide(folder: Path) -> None:
    picture(800, (2 * SIDE, SIDE)).save(folder / "train/a/wide.png")


def put_small(folder: Path) -> None:
    picture(800, (20, 20)).save(folder / "train/a/small.png")


def turn(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    picture(800).save(folder / "train/a/turned.png", exif=exif)


def make_transparent(folder: Path) -> None:
    transparent = picture(800).convert("RGBA")
    transparent.putalpha(Image.radial_gradient("L").resize((SIDE, SIDE)))
    transparent.save(folder / "train/a/glass.png")


def add_folder_beside(folder: Path) -> None:
    save(folder / "test2024", 850, 1)


def add_other_files(folder: Path) -> None:
    (folder / "train/a/1.heic").write_bytes(b"of a telephone")


def put_array_beside(folder: Path) -> None:
    np.save(folder / "train/a/mask.npy", np.zeros((SIDE, SIDE), np.uint8))


def add_class_to_test(folder: Path) -> None:
    save(folder / "test/c", 850, 1)


FAULTS: list[tuple[Callable[[Path], None], list[str]]] = [
    (leave_alone, []),
    (copy_into_test, ["leak"]),
    (resave_into_test, ["near leak"]),
    (copy_within, ["copies"]),
    (resave_within, ["near copies"]),
    (put_into_two_classes, ["two classes"]),
    (resave_into_other_class, ["alike in classes"]),
    (cut_off, ["broken"]),
    (put_text, ["broken"]),
    (put_blank, ["blank"]),
    (put_sixteen_bits, ["depth"]),
    (make_all_sixteen_bits, []),
    (put_many_channels, ["channels"]),
    (animate, ["frames"]),
    (add_small_class, ["small classes"]),
    (leave_class_out_of_test, ["absent classes"]),
    (enlarge_class, ["balance"]),
    (put_grey, ["grey among colours"]),
    (put_wide, ["aspect"]),
    (put_small, ["enlarged"]),
    (turn, ["turned"]),
    (make_transparent, ["transparent"]),
    (add_folder_beside, ["left out", "left out"]),
    (add_other_files, ["other files"]),
    (put_array_beside, ["left out"]),
    (add_class_to_test, ["refused"]),
]


@pytest.mark.parametrize(
    ("spoil", "expected"), FAULTS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_fault_is_found_and_nothing_else(
    spoil: Callable[[Path], None], expected: list[str], sound: Path, inspect: Inspect
) -> None:
    spoil(sound)
    assert kinds(inspect(sound)) == expected


def test_a_sound_folder_has_nothing_to_mend(sound: Path, sslcli: Sslcli) -> None:
    said = sslcli("inspect", str(sound)).out
    assert "nothing to mend was found" in said
    assert "all 48 x 48 px" in said
    assert f"sslcli pretrain data=folder data.root={sound} data.resolution=48" in said


def test_findings_name_pictures_and_what_to_do(sound: Path, inspect: Inspect) -> None:
    copy_into_test(sound)
    (finding,) = inspect(sound)["findings"]
    assert finding["severity"] == "wrong"
    assert finding["text"].endswith("byte for byte: test/a/of-train.png is train/a/3.png")
    assert finding["pictures"] == [["test/a/of-train.png", "train/a/3.png"]]
    assert "data.duplicates=drop" in inspect(sound)["command"]


def test_the_worst_comes_first(sound: Path, inspect: Inspect) -> None:
    for spoil in (turn, put_blank, copy_into_test):
        spoil(sound)
    assert kinds(inspect(sound)) == ["leak", "blank", "turned"]


def test_a_picture_is_told_as_its_file_has_it(tmp_path: Path, inspect: Inspect) -> None:
    """Formats, channels and depth are the file's, not those of what PIL makes of it; sides are upright."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1, (60, 40)).save(folder / "lying.jpg", exif=exif)
    picture(2, (40, 60)).convert("CMYK").save(folder / "ink.jpg")
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(60, 40) * 20).save(folder / "deep.png")
    picture(3, (40, 60)).convert("1").save(folder / "bits.png")
    Image.fromarray(np.random.default_rng(0).random((60, 40), np.float32)).save(folder / "f.tif")
    found = inspect(folder)
    assert found["channels"] == {"1": 3, "3": 1, "4": 1}
    assert found["depth"] == {
        "8-bit numbers": 2,
        "16-bit numbers": 1,
        "1-bit numbers": 1,
        "32-bit floats": 1,
    }
    assert found["format"] == {"JPEG": 2, "PNG": 2, "TIFF": 1}
    assert found["sizes"]["aspect"]["largest"] == 1.5
    assert found["sizes"]["shorter side"] == {"smallest": 40, "median": 40, "largest": 40}


def test_a_tiff_of_many_channels_and_16_bits_is_told_as_it_is(
    tmp_path: Path, inspect: Inspect
) -> None:
    tifffile = pytest.importorskip("tifffile")
    (tmp_path / "many").mkdir()
    for number in range(3):
        blots = np.asarray(picture(number)).astype(np.uint16) * 200
        pixels = np.dstack([blots, blots[..., :2] // 2])
        file = tmp_path / f"many/{number}.tif"
        tifffile.imwrite(file, pixels, planarconfig="contig", photometric="minisblack")
    found = inspect(tmp_path / "many")
    assert found["channels"] == {"5": 3}
    assert found["depth"] == {"16-bit numbers": 3}
    assert found["format"] == {"TIFF": 3}
    assert kinds(found) == []


def test_arrays_that_are_read_are_no_other_files(tmp_path: Path, inspect: Inspect) -> None:
    (tmp_path / "arrays").mkdir()
    for number in range(3):
        np.save(tmp_path / f"arrays/{number}.npy", np.asarray(picture(number)))
    found = inspect(tmp_path / "arrays")
    assert found["format"] == {"NPY": 3}
    assert kinds(found) == []


def test_groups_on_both_sides_are_named(sound: Path, inspect: Inspect) -> None:
    for path in sound.rglob("*.png"):
        patient = 7 if path.name in ("3.png", "200.png") else int(path.stem) + 1000
        path.rename(path.with_name(f"patient{patient}-{path.name}"))
    found = inspect(sound, r"data.groups='patient(\d+)'")
    assert kinds(found) == ["group leak"]
    assert found["findings"][0]["text"] == "1 group has pictures in both train and test: 7"
    assert sum(map(len, found["groups"].values())) == 30


def test_a_table_is_read_with_its_columns(sound: Path, inspect: Inspect) -> None:
    rows = [
        f"{path},{path.parent.name},{path.parts[-3]},g{path.stem}" for path in sound.rglob("*.png")
    ]
    table = sound / "rows.csv"
    table.write_text("\n".join(["path,diagnosis,part,patient", *rows]))
    found = inspect(table, "data.label=diagnosis", "data.groups=patient")
    assert found["words"][:2] == ["data=table", f"data.root={table}"]
    assert found["classes"]["train"] == {"a": 12, "b": 12}
    assert {part: len(names) for part, names in found["groups"].items()} == {"train": 24, "test": 6}
    assert kinds(found) == []


def test_a_table_that_a_run_refuses_is_inspected_all_the_same(
    sound: Path, inspect: Inspect
) -> None:
    paths = sorted((sound / "train").rglob("*.png"))
    (sound / "rows.csv").write_text("\n".join(["path,part", *(f"{path},trian" for path in paths)]))
    found = inspect(sound / "rows.csv")
    assert kinds(found) == ["refused"]
    assert "the part is 'trian'" in found["findings"][0]["text"]
    assert found["looked_at"] == 24


def test_arrays_are_inspected_like_files(sound: Path, tmp_path: Path, inspect: Inspect) -> None:
    def stacked(part: str) -> tuple[Any, Any]:
        paths = sorted((sound / part).rglob("*.png"))
        return np.stack([np.asarray(Image.open(path)) for path in paths]), np.arange(len(paths)) % 2

    (x_train, y_train), (x_test, y_test) = stacked("train"), stacked("test")
    x_test[1] = x_train[5]
    np.savez(tmp_path / "a.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    found = inspect(tmp_path / "a.npz")
    assert found["findings"][0]["pictures"] == [["x_test[1]", "x_train[5]"]]
    assert kinds(found) == ["leak"]
    assert found["classes"]["train"] == {"0": 12, "1": 12}


def test_looking_at_fewer_is_said(sound: Path, inspect: Inspect) -> None:
    found = inspect(sound, "--at-most", "7")
    assert found["looked_at"] == 7
    assert found["pictures"] == 30
    assert found["classes"]["train"] == {"a": 12, "b": 12}, "of all, not of those looked at"
    assert kinds(found) == ["sample"]


def test_pictures_that_are_stored_in_colour_and_are_grey_need_one_channel(
    sound: Path, inspect: Inspect
) -> None:
    for path in sound.rglob("*.png"):
        content = io.BytesIO(path.read_bytes())
        Image.open(content).convert("L").convert("RGB").save(path)
    assert inspect(sound)["command"].endswith(" data.channels=1")


def test_the_suggested_command_trains(sound: Path, inspect: Inspect, sslcli: Sslcli) -> None:
    put_wide(sound)
    words = inspect(sound)["command"].split()
    assert words[:2] == ["sslcli", "pretrain"]
    assert sslcli(*words[1:], "--cfg", "job").status == 0
