"""Pixels in memory, on disk or in their files: the same, whatever happens to the files and to what is kept."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from doubles import CPU, Killed, Onlooker, same, state
from PIL import Image

from sslcli.data import disk, folder, scan, statistics
from sslcli.data.batches import Batches
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.images import LazySubset, Splits
from sslcli.data.pixel_cache import STABLE_AFTER
from sslcli.data.statistics import channel_moments
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.train import Periods, train
from sslcli.errors import RunFailed, SslcliError
from sslcli.generators import seed_generators
from sslcli.method import Preprocessing
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ENCODERS
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run

T = TypeVar("T")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "sslcli.data.pixel_cache.STABLE_AFTER", 0
    )  # no test waits until its files have settled
    return tmp_path / "cache/sslcli/folders"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """train/ of 2 x 20 and test/ of 2 x 4 noisy JPEGs."""
    for part, count in (("train", 20), ("test", 4)):
        for name in ("cat", "dog"):
            fill(tmp_path / "photos" / part / name, count)
    return tmp_path / "photos"


def fill(place: Path, count: int, mode: str = "RGB") -> None:
    place.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        shape = (12, 16) if mode == "L" else (12, 16, 3)
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(
            place / f"{index:03}.jpg", quality=90
        )


class Seen:
    """A track that remembers what was done, and can be told to stop it."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.done: dict[str, int] = {}
        self.stop_after = stop_after

    def __call__(self, items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
        word = label.split()[0]
        for item in items:
            self.done[word] = self.done.get(word, 0) + 1
            if word == "decoding" and self.done[word] == self.stop_after:
                raise KeyboardInterrupt
            yield item

    @property
    def read(self) -> int:
        return self.done.get("decoding", 0) + self.done.get("checking", 0)


def config(root: Path, cache: Cache = Cache.memory, **settings: Any) -> FolderConfig:
    return FolderConfig(root=str(root), **{"resolution": 8, **settings}, cache=cache)


def contents(splits: Splits) -> list[Any]:
    parts = [part for part in (splits.train, splits.val, splits.test) if part is not None]
    labels = [None if part.labels is None else part.labels.tolist() for part in parts]
    return [
        [part.images[:].tolist() for part in parts],
        labels,
        [part.paths for part in parts],
        splits.fingerprint,
    ]


EVERY = list(Cache)
KEPT = [Cache.disk, Cache.none]


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "both"])
def test_everything_is_the_same_wherever_the_pixels_are(
    photos: Path, mode: str, channels: int | None
) -> None:
    if mode != "RGB":
        for name in ("cat", "dog"):
            for part in ("train", "test"):
                fill(photos / part / name, 3 if mode == "both" else 20, "L")
    (photos / "train/cat/010.jpg").write_text("x")
    settings = {"channels": channels, "max_bad": 0.1}
    in_memory, *others = (
        config(photos, cache, workers=workers, **settings).load()
        for cache, workers in (
            (Cache.memory, 1),
            (Cache.disk, 3),
            (Cache.disk, 1),
            (Cache.none, 2),
            (Cache.none, 1),
        )
    )
    assert in_memory.train.channels == channels or {"RGB": 3, "L": 1, "both": 3}[mode]
    made_grey = channels == 1 and mode != "L"
    assert len(in_memory.warnings) == 1 + made_grey
    for other in others:
        assert isinstance(other.train.images, LazySubset)
        assert contents(other) == contents(in_memory)
        assert other.warnings == in_memory.warnings
        assert channel_moments(other.train) == channel_moments(in_memory.train)


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
    monkeypatch.setattr(scan, "_size_and_change", lambda name, folder: (300, moment))
    monkeypatch.setattr("sslcli.data.pixel_cache.STABLE_AFTER", STABLE_AFTER)
    monkeypatch.setattr("sslcli.data.pixel_cache.time.time_ns", lambda: moment + STABLE_AFTER)
    fingerprint = config(photos, cache).load().fingerprint
    change_a_byte(photos / "train/dog/003.jpg")
    assert config(photos, cache).load().fingerprint != fingerprint


def test_an_interrupted_decoding_goes_on_where_it_was(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "SAVE_EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        config(photos, Cache.disk).load(Seen(stop_after=30))
    seen = Seen()
    splits = config(photos, Cache.disk).load(seen)
    assert seen.read == 48 - 29
    assert contents(splits) == contents(config(photos).load())


DECODE = """
import json, os, signal, sys, time
from sslcli.data import disk
from sslcli.data import pixel_cache as kept
from sslcli.data.folder import Cache, FolderConfig
root, kill_after = sys.argv[1], int(sys.argv[2])
disk.SAVE_EVERY = 0.0
kept.STABLE_AFTER = 0
count = 0
def track(items, *, total, label):
    global count
    for item in items:
        if label.startswith("decoding"):
            count += 1
            if count == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.005)
        yield item
fingerprint = FolderConfig(root=root, resolution=8, cache=Cache.disk).load(track).fingerprint
print(json.dumps([count, fingerprint]))
"""


def decode_elsewhere(root: Path, kill_after: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", DECODE, str(root), str(kill_after)], stdout=subprocess.PIPE
    )


@pytest.mark.commands
def test_two_processes_at_once_share_the_work_of_one(photos: Path) -> None:
    outputs = [process.communicate()[0] for process in [decode_elsewhere(photos) for _ in range(2)]]
    found = [json.loads(output) for output in outputs]
    assert sorted(count for count, _ in found) == [0, 48]
    assert {fingerprint for _, fingerprint in found} == {config(photos).load().fingerprint}


@pytest.mark.commands
def test_a_killed_process_leaves_what_it_had_decoded(photos: Path) -> None:
    killed = decode_elsewhere(photos, kill_after=30)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    seen = Seen()
    splits = config(photos, Cache.disk).load(seen)
    assert seen.read == 48 - 29
    assert contents(splits) == contents(config(photos).load())


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


def test_the_size_is_said_before_it_starts_and_refused_where_the_disk_would_not_hold_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    labels: list[str] = []

    def track(items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
        labels.append(label)
        return items

    room = SimpleNamespace(free=48 * 100 * 100 * 3 - 1)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: room)
    settings = {"resolution": 100}
    with pytest.raises(
        SslcliError, match=r"pictures take 1\.4 MB, and .* has 1\.4 MB left"
    ) as caught:
        config(photos, Cache.disk, **settings).load(track)
    assert "data.cache=none" in caught.value.fix
    room.free += 1
    config(photos, Cache.disk, **settings).load(track)
    assert "(1.4 MB)" in labels[-1]
    assert str(cache) in labels[-1]


def test_a_disk_that_fills_up_meanwhile_is_an_error_and_not_the_pictures_fault(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def full(*arguments: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(os, "pwrite", full)
        with pytest.raises(
            SslcliError, match=r"cannot be kept in .*: No space left on device"
        ) as caught:
            config(photos, Cache.disk).load()
    assert "XDG_CACHE_HOME" in caught.value.fix
    assert contents(config(photos, Cache.disk).load()) == contents(config(photos).load())


def test_checking_needs_no_place_to_keep_what_it_found(photos: Path, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.touch()  # where a folder should be
    assert contents(config(photos, Cache.none).load()) == contents(config(photos).load())
    with pytest.raises(SslcliError, match="cannot be kept"):
        config(photos, Cache.disk).load()


def test_a_picture_whose_header_is_whole_is_found_broken_when_it_is_asked_for(photos: Path) -> None:
    broken = photos / "train/cat/007.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    splits = config(photos, Cache.none).load()
    assert len(splits.train) + len(splits.val) == 40
    part = splits.train if str(broken) in (splits.train.paths or ()) else splits.val
    row = (part.paths or ()).index(str(broken))
    others = np.delete(np.arange(len(part)), row)
    assert len(part.images[others]) == len(part) - 1
    with pytest.raises(
        RunFailed, match=r"train/cat/007\.jpg could not be decoded: .*truncated"
    ) as caught:
        part.images[np.array([0, row])]
    assert "data.cache=disk" in caught.value.fix
    on_disk = config(photos, Cache.disk, max_bad=0.1).load()
    assert "train/cat/007.jpg" in on_disk.warnings[0]


def test_memory_is_chosen_for_what_is_decoded_in_seconds_and_fills_a_quarter_of_it_at_most(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(path.stat().st_size for path in photos.rglob("*.*"))
    limits = {"QUICK_FILES": 48, "QUICK_BYTES": size, "memory_bytes": lambda: 4 * 48 * 8 * 8 * 3}
    lower = {
        "QUICK_FILES": 47,
        "QUICK_BYTES": size - 1,
        "memory_bytes": lambda: 4 * 48 * 8 * 8 * 3 - 1,
    }
    for name, limit in limits.items():
        monkeypatch.setattr(folder, name, limit)
    assert isinstance(config(photos, Cache.auto).load().train.images, np.ndarray)
    for name, limit in {
        **lower,
        "size": lambda: 2,
    }.items():  # several processes share what is on disk
        with monkeypatch.context() as patched:
            patched.setattr(folder, name, limit)
            assert isinstance(config(photos, Cache.auto).load().train.images, LazySubset), name


def test_memory_is_that_of_this_machine() -> None:
    assert 2**27 < folder.memory_bytes() < 2**50


def test_parts_of_pictures_that_are_not_in_memory_are_chosen_without_decoding(photos: Path) -> None:
    in_memory, in_files = (
        config(photos, cache).load().train for cache in (Cache.memory, Cache.none)
    )
    chosen = np.array([5, 1, 30, 5])
    for path in in_files.paths or ():
        Path(path).rename(f"{path}.away")
    twice = in_files.subset(chosen).subset(np.array([2, 0]))
    for path in in_files.paths or ():
        Path(f"{path}.away").rename(path)
    np.testing.assert_array_equal(twice.images[:], in_memory.images[chosen[[2, 0]]])
    np.testing.assert_array_equal(
        in_files.subset(chosen).images[1:3], in_memory.images[chosen[1:3]]
    )
    assert twice.fingerprint == in_memory.subset(chosen).subset(np.array([2, 0])).fingerprint


def test_statistics_are_of_a_sample_where_pictures_come_from_files(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "NUM_SAMPLED", 8)
    in_memory, in_files = (
        config(photos, cache).load().train for cache in (Cache.memory, Cache.none)
    )
    assert channel_moments(in_memory) == channel_moments(in_files)
    sample = in_memory.images[np.linspace(0, len(in_memory) - 1, 8).round().astype(np.int64)] / 255
    mean, deviation = channel_moments(in_memory)
    np.testing.assert_allclose(mean, sample.mean((0, 1, 2)))
    np.testing.assert_allclose(deviation, sample.std((0, 1, 2)))


def trained(
    photos: Path, place: Path, cache: Cache, workers: int, kill_after: int | None
) -> dict[str, torch.Tensor]:
    """SimCLR's weights after two epochs, resumed where the process was killed."""
    part = config(photos, cache, workers=workers).load().train
    place.mkdir()
    Run.create(place, {}, {"status": "running"}).__exit__()
    for after in [kill_after, None] if kill_after else [None]:
        seed_generators(0)
        encoder = ENCODERS["convnet"](width=4).build(3, 8)
        method = SimCLRConfig().build(encoder, Preprocessing(8, 3, *channel_moments(part)))
        pictures = Batches(part, 8, 0, "cpu")
        minimize = Minimizer.of(method, SGDConfig(lr=0.1), CPU, lambda step: 0.1)
        with Run(place) as run, suppress(Killed):
            train(
                method, pictures, minimize, lambda step: {}, Phase(run, "pretrain", 1, 0),
                Periods(2 * pictures.steps_per_epoch, 1, 100, 2), CPU, Onlooker(stop_at=after),
            )  # fmt: skip
    return state(method)


def test_training_gives_the_same_weights_wherever_the_pixels_are(
    photos: Path, tmp_path: Path
) -> None:
    ways = [(Cache.memory, 1, None), (Cache.disk, 2, 5), (Cache.none, 1, None), (Cache.none, 3, 5)]
    first, *others = (trained(photos, tmp_path / str(i), *way) for i, way in enumerate(ways))
    for way, weights in zip(ways[1:], others, strict=True):
        assert same(weights, first), way
