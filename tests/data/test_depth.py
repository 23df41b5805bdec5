"""Folders of deep pictures: every cache gives the files' values; nothing is cut unless it is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslcli.config import identity
from sslcli.data import DATA, pixel_cache
from sslcli.data.deep_files import read_deep
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.images import Splits
from sslcli.data.table import TableConfig
from sslcli.errors import SslcliError
from sslcli.saved import Saved, group_to_config

RNG = np.random.default_rng(0)
BANDS = RNG.integers(0, 65536, (12, 8, 8, 5), dtype=np.uint16)
CACHES = [Cache.memory, Cache.disk, Cache.none]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def save(folder: Path, pictures: np.ndarray[Any, Any], suffix: str = ".npy") -> Path:
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        path = folder / f"{number:02}{suffix}"
        if suffix == ".npy":
            np.save(path, picture)
        else:
            Image.fromarray(picture.squeeze()).save(path)
    return folder


def load(folder: Path, **settings: Any) -> Splits:
    return FolderConfig(root=str(folder), resolution=8, **settings).load()


def by_name(splits: Splits) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in (splits.train, splits.val):
        assert part.paths is not None
        found.update(zip((Path(path).stem for path in part.paths), (p.tobytes() for p in part.images[:]), strict=True))  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("cache", "kind"),
    [
        (Cache.memory, "uint8"),
        (Cache.memory, "uint16"),
        (Cache.disk, "uint16"),
        (Cache.disk, "float32"),
        (Cache.none, "uint16"),
        (Cache.none, "float32"),
    ],
)
def test_every_cache_gives_the_files_values(tmp_path: Path, cache: Cache, kind: str) -> None:
    pictures = (BANDS // 256).astype(kind) if kind != "uint16" else BANDS
    pictures = pictures / np.float32(255) if kind == "float32" else pictures
    folder = save(tmp_path / "pictures", pictures)
    for _ in range(2):  # the second time from what was kept
        splits = load(folder, cache=cache)
        assert by_name(splits) == {f"{n:02}": p.tobytes() for n, p in enumerate(pictures)}
        assert splits.train.images[:].dtype == kind


def test_a_range_is_another_entry_of_the_cache(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", BANDS)
    narrow = load(folder, cache=Cache.disk, range=[0, 1000]).train.images[:]
    wide = load(folder, cache=Cache.disk, range=[0, 100_000]).train.images[:]
    np.testing.assert_allclose(narrow, (wide * 100).clip(0, 1), atol=1e-5)
    assert load(folder, cache=Cache.disk).train.images[:].dtype == np.uint16


@pytest.fixture
def kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_cache, "STABLE_AFTER", 0)


@pytest.mark.usefixtures("kept_at_once")
def test_ranges_that_differ_a_little_are_others_too(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", BANDS.astype(np.int32) + 10**7)
    for low in (10_000_007, 10_000_009):
        found = load(folder, cache=Cache.disk, range=[low, 10_065_535]).train.images[:]
        in_memory = load(folder, range=[low, 10_065_535]).train.images[:]
        np.testing.assert_array_equal(found, in_memory)


def test_16_bits_of_png_are_kept_and_8_only_if_asked_for(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", BANDS[..., :1], ".png")
    kept = load(folder)
    assert by_name(kept) == {f"{n:02}": p[..., 0].tobytes() for n, p in enumerate(BANDS)}
    assert kept.range == (0.0, 65535.0)
    cut = load(folder, depth=8)
    expected = ((BANDS[..., 0].astype(int) * 255 + 32767) // 65535).astype(np.uint8)
    assert by_name(cut) == {f"{n:02}": p.tobytes() for n, p in enumerate(expected)}
    assert cut.range is None
    assert kept.fingerprint != cut.fingerprint


def test_older_runs_keep_their_8_bits_and_their_identity(tmp_path: Path) -> None:
    values = {
        "root": "/a", "resolution": 8, "limit": None, "val_fraction": 0.1, "split_seed": 0,
        "channels": None, "max_bad": 0.01, "cache": "auto", "workers": None,
    }  # fmt: skip
    older = group_to_config(
        "data", Saved("pretrain", {"data": "folder"}, {"data": values}), {"data": DATA}
    )
    newer = FolderConfig(root="/a", resolution=8)
    assert older.depth == 8
    assert newer.depth is None
    assert identity("pretrain", older) == identity("pretrain", newer)
    assert identity("pretrain", FolderConfig(root="/a", resolution=8, depth=16)) != identity(
        "pretrain", newer
    )


def test_mixed_depths_are_said_and_the_smaller_made_larger(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", BANDS[:6, ..., :1], ".png")
    eight = (BANDS[6:, ..., 0] // 256).astype(np.uint8)
    for number, picture in enumerate(eight, start=6):
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    splits = load(folder)
    assert any("uint8 and uint16: all are kept as uint16" in line for line in splits.warnings)
    found = by_name(splits)
    assert found["00"] == BANDS[0, ..., 0].tobytes()
    assert found["07"] == (eight[1].astype(np.uint16) * 257).tobytes()


def test_a_deep_picture_among_many_of_8_bits_is_not_cut(tmp_path: Path) -> None:
    """Some files are looked at; one that was not is refused by name."""
    rng = np.random.default_rng(1)
    folder = save(tmp_path / "pictures", rng.integers(0, 256, (40, 8, 8), dtype=np.uint8), ".png")
    rows = set(np.linspace(0, 39, 16).round().astype(int).tolist())
    odd = next(row for row in range(40) if row not in rows)
    Image.fromarray(BANDS[0, ..., 0]).save(folder / f"{odd:02}.png")
    config = FolderConfig(root=str(folder), resolution=8, val_fraction=0.1, max_bad=0.1)
    for cache in CACHES:
        splits = FolderConfig(root=str(folder), resolution=8, max_bad=0.1, cache=cache).load()
        if splits.train.images[:0].dtype == np.uint8:
            assert any(f"{odd:02}.png: it has 1 channels of uint16" in x for x in splits.warnings)
    assert len(config.load().train) + len(config.load().val) in (39, 40)


@pytest.mark.usefixtures("kept_at_once")
@pytest.mark.parametrize("cache", CACHES)
def test_what_was_kept_cut_is_not_taken_for_whole(tmp_path: Path, cache: Cache) -> None:
    folder = save(
        tmp_path / "pictures", (BANDS[..., 0] // 256).astype(np.uint8).repeat(4, 0), ".png"
    )
    Image.fromarray(BANDS[0, ..., 0]).save(folder / "01.png")  # is none of those looked at
    for depth, num_bad in ((8, 0), (None, 1)):
        splits = load(folder, max_bad=0.1, cache=cache, depth=depth)
        said = [line for line in splits.warnings if "could not be decoded" in line]
        assert len(said) == num_bad
        assert len(splits.train) + len(splits.val) == 48 - num_bad


def test_other_channels_than_the_rest_are_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", BANDS)
    np.save(folder / "05.npy", BANDS[5, ..., :4])
    splits = load(folder, max_bad=0.2)
    assert any("05.npy: it has 4 channels, and others 5" in line for line in splits.warnings)
    with pytest.raises(SslcliError, match="it has 4 channels"):
        load(folder)


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("axes", ["CYX", "QYX"])
def test_a_channel_is_not_taken_for_a_picture_that_nobody_looked_at(
    tmp_path: Path, cache: Cache, axes: str
) -> None:
    """However many bits are asked for."""
    tifffile = pytest.importorskip("tifffile")
    eight = (BANDS // 256).astype(np.uint8)
    folder = save(tmp_path / "pictures", eight[..., 0].repeat(4, 0), ".tif")
    bands = np.moveaxis(eight[0], -1, 0)
    tifffile.imwrite(folder / "01.tif", bands, photometric="minisblack", metadata={"axes": axes})
    for depth in (None, 8):
        splits = load(folder, max_bad=0.1, cache=cache, depth=depth)
        said = "5 channels" if axes == "CYX" else "may be frames or channels"
        assert any("01.tif" in line and said in line for line in splits.warnings)
        assert len(splits.train) + len(splits.val) == 47


def test_of_frames_with_names_the_first_may_become_8_bits(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    folder = save(tmp_path / "pictures", BANDS[..., 0].repeat(4, 0), ".tif")
    frames = np.moveaxis(BANDS[0], -1, 0)
    tifffile.imwrite(folder / "01.tif", frames, photometric="minisblack", metadata={"axes": "TYX"})
    assert len(by_name(load(folder, depth=8))) == 48


@pytest.mark.parametrize("depth", [None, 8])
def test_what_is_opaque_beside_grey_is_no_white(tmp_path: Path, depth: int | None) -> None:
    tifffile = pytest.importorskip("tifffile")
    (tmp_path / "a").mkdir()
    grey = (BANDS[..., 0] // 256).astype(np.uint8)
    for number, picture in enumerate(grey):
        planes = np.stack([picture, np.full_like(picture, 255)])
        form = {"planarconfig": "separate", "extrasamples": ["unassalpha"], "compression": "zlib"}
        tifffile.imwrite(tmp_path / f"a/{number:02}.tif", planes, photometric="minisblack", **form)
    found = by_name(load(tmp_path / "a", depth=depth))
    assert {found[f"{number:02}"] == picture.tobytes() for number, picture in enumerate(grey)} == {
        True
    }


@pytest.mark.parametrize(("suffix", "format"), [("jp2", "JPEG2000"), ("pgm", "PPM")])
def test_16_bits_that_only_pillow_reads_are_kept(tmp_path: Path, suffix: str, format: str) -> None:
    """A table names pictures of any ending."""
    grey, colours = BANDS[..., 0] // 16, (BANDS[..., :3] // 256).astype(np.uint8)
    for number, picture in enumerate(grey):
        Image.fromarray(picture).save(tmp_path / f"{number:02}.{suffix}", format)
    names = [f"{number:02}.{suffix}" for number in range(len(grey))]
    (tmp_path / "table.csv").write_text("path\n" + "\n".join(names) + "\n")
    splits = TableConfig(root=str(tmp_path / "table.csv"), resolution=8).load()
    assert set(by_name(splits).values()) <= {picture.tobytes() for picture in grey}
    assert splits.train.images[:0].dtype == np.uint16
    Image.fromarray(colours[0]).save(tmp_path / "rgb", format)
    eight = (tmp_path / "rgb").read_bytes()
    assert read_deep(eight) is None
    deep = eight.replace(b"\n255\n", b"\n4095\n")
    if suffix == "jp2":
        at = eight.find(b"\xff\x4f\xff\x51") + 42
        deep = eight[:at] + bytes([11]) + eight[at + 1 :]
    with pytest.raises(ValueError, match="8 of its 12 bits a channel can be read"):
        read_deep(deep)


def test_12_bits_that_only_pillow_reads_become_16_and_it_is_said() -> None:
    grey = BANDS[0, ..., 0] // 16
    found = read_deep(b"P5 # twelve\n8 8\n4095\n" + grey.astype(">u2").tobytes())
    assert found is not None
    assert found.notes == ("its 12 bits a channel become 16",)
    expected = (grey.astype(np.int64) * 65535 + 2047) // 4095
    assert int(np.abs(found.pixels[..., 0].astype(np.int64) - expected).max()) <= 1


def test_a_range_says_what_it_cuts_and_must_hold_something(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", BANDS[..., 0].repeat(2, 0), ".png")
    said = load(folder, range=[0.0, 1000.0]).warnings
    assert any("% of the values lie outside data.range=[0,1000], and are cut" in x for x in said)
    assert not any("outside" in line for line in load(folder, range=[0.0, 65535.0]).warnings)
    with pytest.raises(SslcliError, match="no value of the 16 pictures looked at lies in it"):
        load(folder, range=[-5.0, -1.0])


NOT_LOOKED_AT = 1


def save_one_in_colour(folder: Path, kind: str, row: int) -> Path:
    """40 grey pictures, of which 16 are looked at, and one in colour; `kind`: npy or png."""
    values = RNG.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    numbers = values.astype(np.uint16) * 257 if kind == "npy" else values
    folder = save(folder, numbers[..., :1], f".{kind}")
    save(folder, numbers[row : row + 1], f".{kind}")
    (folder / f"00.{kind}").rename(folder / f"{row:02}.{kind}")
    save(folder, numbers[:1, ..., :1], f".{kind}")
    return folder


@pytest.mark.usefixtures("kept_at_once")
@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize(
    ("kind", "settings"), [("npy", {}), ("png", {"range": [0, 255]}), ("png", {"depth": 16})]
)
def test_colour_among_grey_is_never_lost_unasked(
    tmp_path: Path, cache: Cache, kind: str, settings: dict[str, Any]
) -> None:
    folder = save_one_in_colour(tmp_path / "pictures", kind, NOT_LOOKED_AT)
    made = load(folder, channels=1, cache=cache, **settings)
    said = "1 of 40 pictures are in colour, and are made grey (data.channels=1)"
    assert said in made.warnings
    assert made.train.channels == 1
    for seed in range(3):
        with pytest.raises(SslcliError, match=r"01\.\w+: it is in colour.*data\.channels=3 keeps"):
            load(folder, split_seed=seed, cache=cache, **settings)
    splits = load(folder, cache=cache, max_bad=0.1, **settings)
    assert len(splits.train) + len(splits.val) == 39
    assert load(folder, channels=3, cache=cache, **settings).train.channels == 3


def test_what_is_found_decides_for_every_seed_limit_and_for_a_few(tmp_path: Path) -> None:
    folder = save_one_in_colour(tmp_path / "pictures", "npy", 39)
    for seed in range(4):
        assert load(folder, split_seed=seed).train.channels == 3
        assert load(folder, split_seed=seed, limit=4).train.channels == 3
    few = FolderConfig(root=str(folder), resolution=8).few(4)
    assert few.channels == 3


@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_values_of_unknown_meaning_are_asked_for(tmp_path: Path, kind: str) -> None:
    values = (BANDS // 64).astype(kind) - np.dtype(kind).type(100)
    folder = save(tmp_path / "pictures", values)
    with pytest.raises(SslcliError, match="which mean black and white is not known") as caught:
        load(folder)
    assert caught.value.fix.startswith("data.range=[-100,")
    low, high = -100.0, 1000.0
    found = load(folder, range=[low, high]).train
    assert found.images[:].dtype == np.float32
    assert found.paths is not None
    row = values[int(Path(found.paths[0]).stem)]
    np.testing.assert_allclose(
        found.images[:1][0], ((row - low) / (high - low)).clip(0, 1), atol=1e-6
    )


def test_npy_beside_ordinary_pictures_are_not_read(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", (BANDS[..., 0] // 256).astype(np.uint8), ".png")
    np.save(folder / "labels.npy", np.arange(12))
    splits = load(folder)
    assert len(splits.train) + len(splits.val) == 12
    said = f"1 file is left out of {folder}, where pictures such as 00.png are read: labels.npy"
    assert splits.warnings == (said,)


def test_a_stray_picture_does_not_replace_a_part_of_deep_ones(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for part, pictures in (("train", BANDS[:8]), ("val", BANDS[6:8] + 1), ("test", BANDS[8:])):
        save(tmp_path / "set" / part, pictures)
    expected = load(tmp_path / "set")
    assert expected.warnings == ()
    for part in ("val", "test"):
        Image.new("L", (8, 8)).save(tmp_path / "set" / part / "preview.png")
    splits = load(tmp_path / "set")
    assert splits.fingerprint == expected.fingerprint
    assert splits.test is not None
    assert len(splits.test) == 4
    for part, said in zip(("test", "val"), sorted(splits.warnings), strict=True):
        where = f"left out of {tmp_path / 'set' / part}, where pictures such as 00.npy are read"
        assert said == f"1 file is {where}: preview.png"


def test_a_table_names_deep_pictures_too(tmp_path: Path) -> None:
    folder = save(tmp_path / "pictures", BANDS)
    rows = "\n".join(f"pictures/{number:02}.npy,{number % 2}" for number in range(12))
    (tmp_path / "table.csv").write_text(f"path,label\n{rows}\n")
    splits = TableConfig(root=str(tmp_path / "table.csv"), resolution=8).load()
    assert by_name(splits) == by_name(load(folder))
    assert splits.classes == ("0", "1")


def test_a_missing_package_is_named_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile = pytest.importorskip("tifffile")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        tifffile.imwrite(
            folder / f"{number}.tif", BANDS[number], photometric="minisblack", planarconfig="contig"
        )
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(
        SslcliError, match=r"\.tif needs tifffile, which is not installed"
    ) as caught:
        load(folder)
    assert caught.value.fix == "pip install 'sslcli[tiff]'"
    save(tmp_path / "grey", BANDS[..., 0], ".tif")
    assert load(tmp_path / "grey").train.images[:].dtype == np.uint16, "Pillow reads grey"
