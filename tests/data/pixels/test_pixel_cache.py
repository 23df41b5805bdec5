"""What is kept of a folder's pictures, and when it is made again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from photos import EVERY, KEPT, Seen, config, contents

from sslcli.data import scan
from sslcli.data.folder import Cache
from sslcli.data.pixel_cache import STABLE_AFTER


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_known_of_the_files_is_kept(photos: Path, kept: Cache) -> None:
    for number, expected in enumerate([48, 0]):
        seen = Seen()
        config(photos, kept).load(seen)
        assert seen.read == expected, number
    (photos / "train/cat/bad.jpg").touch()
    for expected in (49, 1):  # another listing; and a bad picture may have been mended
        seen = Seen()
        config(photos, kept, max_bad=0.1).load(seen)
        assert seen.read == expected


def test_a_limit_decodes_no_more_than_it_says_and_more_is_added_to_it(photos: Path) -> None:
    read = []
    for limit, split_seed in ((10, 0), (10, 0), (10, 1), (None, 0), (20, 5)):
        seen = Seen()
        splits = config(photos, Cache.disk, limit=limit, split_seed=split_seed).load(seen)
        expected = config(photos, limit=limit, split_seed=split_seed).load()
        assert contents(splits) == contents(expected)
        read.append(seen.read)
    assert read[:2] == [10 + 4 + 8, 0]
    assert 0 < read[2] < 22
    assert read[3] == 48 - sum(read[:3])
    assert read[4] == 0


def test_a_resolution_has_a_file_of_its_own(photos: Path, cache: Path) -> None:
    for resolution in (8, 16, 8):
        assert (
            config(photos, Cache.disk, resolution=resolution).load().train.resolution == resolution
        )
    assert len(list(cache.rglob("*.npy"))) == 2


def test_what_is_kept_of_a_former_state_is_removed(photos: Path, cache: Path) -> None:
    for kept in KEPT:
        config(photos, kept).load()
    before = {path.name for path in cache.rglob("*-*") if path.is_file()}
    os.utime(photos / "train/cat/000.jpg", (0, 0))
    for kept in KEPT:
        config(photos, kept).load()
    after = {path.name for path in cache.rglob("*-*") if path.is_file()}
    assert len(before) == len(after) == 3
    assert not before & after


@pytest.mark.parametrize("cache", EVERY)
def test_touched_files_are_the_same_data_and_changed_bytes_are_not(
    photos: Path, cache: Cache
) -> None:
    load = config(photos, cache).load
    fingerprint = load().fingerprint
    for path in photos.rglob("*.jpg"):
        os.utime(path, (0, 0))
    assert load().fingerprint == fingerprint
    change_a_byte(photos / "train/dog/003.jpg")
    assert load().fingerprint != fingerprint
    assert config(photos, cache, resolution=9).load().fingerprint != load().fingerprint


def change_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("cache", KEPT)
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(
    photos: Path, cache: Cache
) -> None:
    """As `cp -p` and `rsync -t` leave it."""
    path = photos / "train/dog/003.jpg"
    fingerprint, before = config(photos, cache).load().fingerprint, path.stat()
    change_a_byte(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert config(photos, cache).load().fingerprint != fingerprint


@pytest.mark.parametrize("cache", KEPT)
def test_a_change_within_a_tick_of_the_clock_is_noticed(
    photos: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same name, same size, same time: all that a listing can tell."""
    moment = 1_700_000_000 * 10**9
    monkeypatch.setattr(scan, "size_and_change", lambda name, folder: (300, moment))
    monkeypatch.setattr("sslcli.data.pixel_cache.STABLE_AFTER", STABLE_AFTER)
    monkeypatch.setattr("sslcli.data.pixel_cache.time.time_ns", lambda: moment + STABLE_AFTER)
    fingerprint = config(photos, cache).load().fingerprint
    change_a_byte(photos / "train/dog/003.jpg")
    assert config(photos, cache).load().fingerprint != fingerprint


def shortened(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("harm", [shortened, Path.unlink, lambda path: path.write_text("x")])
@pytest.mark.parametrize("ending", ["npy", "records"])
def test_what_is_kept_is_made_again_where_it_is_damaged(
    photos: Path, cache: Path, kept: Cache, harm: Callable[[Path], None], ending: str
) -> None:
    expected = contents(config(photos, kept).load())
    for path in cache.rglob(f"*.{ending}"):
        harm(path)
    assert contents(config(photos, kept).load()) == expected
