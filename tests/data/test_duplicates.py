"""Pictures in two parts, colours that become grey: counted and named, in `Splits.warnings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.config import identity
from sslcli.data import DATA
from sslcli.data.arrays import ArraysConfig
from sslcli.data.duplicates import Duplicates
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.table import TableConfig
from sslcli.errors import SslcliError
from sslcli.saved import Saved, group_to_config

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
PARTS = {"train": [*range(30)], "val": [*range(30, 40), 5], "test": [*range(40, 50), 7, 8, 30]}
"""Pictures by number: 5 is in train and val, 7 and 8 in train and test, 30 in val and test."""
SHARED = ["2 test pictures are also in train", "1 test picture is also in val",
          "1 val picture is also in train"]  # fmt: skip

Made = Callable[..., "FolderConfig | ArraysConfig"]


@pytest.fixture(params=["folder", "disk", "files", "arrays"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """The same data as a folder, wherever its pixels are kept, and as one file."""
    if request.param == "arrays":
        arrays = {f"x_{part}": NOISE[numbers] for part, numbers in PARTS.items()}
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        return lambda **settings: ArraysConfig(root=str(tmp_path / "a.npz"), **settings)
    for part, numbers in PARTS.items():
        (tmp_path / part).mkdir()
        for number in numbers:
            Image.fromarray(NOISE[number]).save(tmp_path / part / f"{number}.png")
    cache = {"folder": Cache.memory, "disk": Cache.disk, "files": Cache.none}[request.param]
    return lambda **settings: FolderConfig(
        root=str(tmp_path), resolution=8, cache=cache, **settings
    )


def test_they_are_counted_and_named(made: Made) -> None:
    splits = made().load()
    assert [warning.split(":")[0] for warning in splits.warnings] == SHARED
    named = "7.png is " if isinstance(made(), FolderConfig) else "test[10] is train[7]"
    assert named in splits.warnings[0]
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [30, 11, 13]


def test_dropped_they_leave_training_and_then_validation(made: Made) -> None:
    splits = made(duplicates=Duplicates.drop).load()
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [27, 10, 13]
    parts = [
        {picture.tobytes() for picture in part.images[:]}
        for part in (splits.train, splits.val, splits.test)
    ]
    assert sum(len(part) for part in parts) == len(parts[0] | parts[1] | parts[2])
    assert splits.fingerprint != made().load().fingerprint
    assert all(line.endswith("left out of the latter") for line in splits.warnings)


def test_refused_they_end_the_command(made: Made) -> None:
    with pytest.raises(SslcliError, match="2 test pictures are also in train") as caught:
        made(duplicates=Duplicates.refuse).load()
    assert "data.duplicates=drop" in caught.value.fix


def test_dropping_never_empties_a_part(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=NOISE[:5], x_val=NOISE[5:8], x_test=NOISE[:9])
    with pytest.raises(SslcliError, match="every train picture is also in another part"):
        ArraysConfig(root=str(tmp_path / "a.npz"), duplicates=Duplicates.drop).load()


@pytest.fixture
def unlabelled(tmp_path: Path) -> Callable[[list[int]], TableConfig]:
    """Makes a table of 20 labelled pictures, the last 5 test, and of those given without a label."""

    def make(copied: list[int]) -> TableConfig:
        rows = [f"{n}.png,{'ab'[n % 2]},{'test' if n > 14 else 'train'}" for n in range(20)]
        rows += [f"copy-{n}.png,,train" for n in copied]
        for name, number in [(n, n) for n in range(20)] + [(f"copy-{n}", n) for n in copied]:
            Image.fromarray(NOISE[number]).save(tmp_path / f"{name}.png")
        (tmp_path / "t.csv").write_text("\n".join(["path,label,part", *rows]))
        return TableConfig(root=str(tmp_path / "t.csv"), resolution=8)

    return make


def test_unlabelled_copies_of_test_pictures_are_named_and_dropped(
    unlabelled: Callable[[list[int]], TableConfig],
) -> None:
    config = unlabelled([15, 17, 25])
    warned = config.load()
    assert warned.unlabelled is not None
    assert len(warned.unlabelled) == 3
    assert "2 test pictures are also in unlabelled: " in warned.warnings[0]
    assert "copy-15.png" in warned.warnings[0]
    dropped = replace(config, duplicates=Duplicates.drop).load()
    assert dropped.unlabelled is not None
    assert (dropped.unlabelled.images[:] == NOISE[25]).all()
    assert len(dropped.pretraining) == len(dropped.train) + 1 == len(warned.train) + 1
    with pytest.raises(SslcliError, match="2 test pictures are also in unlabelled"):
        replace(config, duplicates=Duplicates.refuse).load()


def test_unlabelled_copies_of_validation_pictures_are_dropped_to_the_last(
    unlabelled: Callable[[list[int]], TableConfig],
) -> None:
    held_out = unlabelled([]).load().val.images[:]
    numbers = [n for n in range(15) if (held_out == NOISE[n]).all(axis=(1, 2, 3)).any()]
    assert numbers
    config = unlabelled(numbers)
    assert "also in unlabelled" in config.load().warnings[0]
    dropped = replace(config, duplicates=Duplicates.drop).load()
    assert dropped.unlabelled is None
    assert len(dropped.pretraining) == len(dropped.train)


def test_where_there_are_none_nothing_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=NOISE[:20], x_test=NOISE[20:30])
    for how in Duplicates:
        config = ArraysConfig(root=str(tmp_path / "a.npz"), duplicates=how)
        assert config.load().warnings == ()


@pytest.mark.parametrize(
    ("config", "recorded"),
    [
        (FolderConfig(root="/a", resolution=8), "9c548081c478"),
        (ArraysConfig(root="/a.npz"), "2b98b5827768"),
    ],
)
def test_the_identity_counts_it_only_where_it_changes_results(
    config: FolderConfig, recorded: str
) -> None:
    """Recorded by 0.1.0, which did not have the setting."""
    assert identity("pretrain", config) == recorded
    others = [replace(config, duplicates=how) for how in (Duplicates.drop, Duplicates.refuse)]
    assert len({recorded, *(identity("pretrain", other) for other in others)}) == 3


def test_a_config_saved_before_there_was_the_setting_loads() -> None:
    values = {
        "root": "/a", "resolution": 8, "limit": None, "val_fraction": 0.1, "split_seed": 0,
        "channels": None, "max_bad": 0.01, "cache": "auto", "workers": None,
    }  # fmt: skip
    saved = Saved("pretrain", {"data": "folder"}, {"data": values})
    config = group_to_config("data", saved, {"data": DATA})
    assert config == FolderConfig(root="/a", resolution=8, depth=8)


@pytest.mark.parametrize("cache", [Cache.memory, Cache.disk, Cache.none])
def test_colours_that_become_grey_are_counted(tmp_path: Path, cache: Cache) -> None:
    for index in range(12):
        mode = "L" if index < 4 else "RGB"
        Image.fromarray(NOISE[index]).convert(mode).save(tmp_path / f"{index}.png")
    config = FolderConfig(root=str(tmp_path), resolution=8, cache=cache)
    said = "8 of 12 pictures are in colour, and are made grey (data.channels=1)"
    assert config.for_encoder(8, 1).load().warnings == (said,)
    assert config.for_encoder(8, 3).load().warnings == config.load().warnings == ()


@pytest.mark.parametrize("mode", ["LA", "I;16"])
@pytest.mark.parametrize("cache", [Cache.memory, Cache.disk, Cache.none])
def test_grey_is_one_channel_however_it_is_stored(tmp_path: Path, mode: str, cache: Cache) -> None:
    for index in range(4):
        Image.new(mode, (8, 8), (index, 255) if mode == "LA" else 1000 * index).save(
            tmp_path / f"{index}.png"
        )
    splits = FolderConfig(root=str(tmp_path), resolution=8, cache=cache).load()
    assert splits.train.channels == 1
