"""Shards that fsspec fetches: copied under a bound, and trained on in blocks where not all fit."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from photos import contents
from tars import sample, write_shard

from sslcli.archives import remote
from sslcli.archives.remote import Copies, remote_state
from sslcli.data.batches import Batches
from sslcli.data.blocks import Blocks, joined
from sslcli.data.folder import Cache
from sslcli.data.shards import ShardsConfig
from sslcli.errors import RunFailed, SslcliError

NUM = 6


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in ("shard_cache", "pixel_cache"):
        monkeypatch.setattr(f"sslcli.data.{module}.STABLE_AFTER", 0)
    return tmp_path / "cache/sslcli/remote"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for number in range(NUM):
        samples = [sample(f"{number}{row}", str(row % 2), json={"n": row}) for row in range(8)]
        write_shard(tmp_path / f"set/train-{number}.tar", samples)
    return tmp_path / "set"


@pytest.fixture
def bucket(shards: Path) -> str:
    """The same shards in fsspec's memory."""
    system = fsspec.filesystem("memory")
    if system.exists("/bucket"):
        system.rm("/bucket", recursive=True)
    for path in shards.iterdir():
        system.pipe(f"/bucket/{path.name}", path.read_bytes())
    return "memory://bucket"


def config(root: str | Path, **settings: Any) -> ShardsConfig:
    return ShardsConfig(root=str(root), **{"resolution": 8, **settings})


@pytest.mark.parametrize("how", [Cache.memory, Cache.disk, Cache.none])
def test_they_are_the_pictures_of_the_same_shards_here(
    shards: Path, bucket: str, how: Cache
) -> None:
    here = config(shards, cache=how).load()
    for root in (f"{bucket}/train-{{0..5}}.tar", f"{bucket}/train-*.tar", f"file://{shards}/*.tar"):
        away = config(root, cache=how).load()
        assert contents(away)[:2] == contents(here)[:2]
        assert away.fingerprint == here.fingerprint
        assert away.train.paths is not None
        assert away.train.paths[0].startswith(root.partition("://")[0] + "://")


def test_a_url_means_the_same_from_any_folder(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{bucket}/train-{{0..2}}.tar"
    typed = config(root, val=f"{bucket}/train-3.tar").with_absolute_root()
    assert (typed.root, typed.val) == (root, f"{bucket}/train-3.tar")
    listing, _ = typed.list_files()
    assert listing.root == bucket
    assert listing.names[0] == "train-0.tar/00.jpg"
    assert typed.is_there()


def count_fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    fetched: list[str] = []
    fetch = Copies._fetch

    def counting(self: Copies, url: str, state: Any, path: Path) -> None:
        fetched.append(url.rpartition("/")[2])
        fetch(self, url, state, path)

    monkeypatch.setattr(Copies, "_fetch", counting)
    return fetched


def gigabytes(shards: Path, num: int) -> float:
    """Room for so many of the shards, and not one more."""
    return (num + 0.5) * (shards / "train-0.tar").stat().st_size / 1e9


def test_each_is_fetched_once_and_what_lies_in_it_found_once(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = count_fetched(monkeypatch)
    config(f"{bucket}/train-*.tar", label="json.n").load()
    assert sorted(fetched) == [f"train-{n}.tar" for n in range(NUM)]
    config(f"{bucket}/train-*.tar", label="json.n").load()
    assert len(fetched) == NUM


def test_labels_in_json_are_kept_where_the_copies_are_not(
    bucket: str, shards: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(f"{bucket}/train-*.tar", label="json.n").list_files()
    for copy in cache.glob("*.copy"):
        copy.unlink()
    fetched = count_fetched(monkeypatch)
    _, stored = config(f"{bucket}/train-*.tar", label="json.n").list_files()
    assert stored.classes == tuple(str(n) for n in range(8))
    assert fetched == []


@pytest.mark.parametrize("how", [Cache.memory, Cache.disk])
def test_the_copies_stay_under_the_bound_and_pixels_are_decoded_in_order(
    bucket: str, shards: Path, cache: Path, how: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = count_fetched(monkeypatch)
    bound = gigabytes(shards, 2)
    splits = config(f"{bucket}/train-*.tar", cache=how, shard_cache=bound, workers=1).load()
    assert sum(copy.stat().st_size for copy in cache.glob("*.copy")) <= bound * 1e9
    assert contents(splits)[:2] == contents(config(shards).load())[:2]
    # Once to find what lies there, for a look at some pictures, for training, and for validation.
    assert len(fetched) <= 4 * NUM


def test_threads_share_a_copy(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = count_fetched(monkeypatch)
    url = f"{bucket}/train-0.tar"
    copies, state = Copies(tmp_path / "copies", 10**9), remote_state(url)
    threads = [threading.Thread(target=copies.path, args=(url, state)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == ["train-0.tar"]


def test_a_copy_that_was_used_lately_stays(bucket: str, shards: Path, tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", int(gigabytes(shards, 2) * 1e9))
    urls = [f"{bucket}/train-{n}.tar" for n in range(3)]
    states = [remote_state(url) for url in urls]
    first, second = (copies.path(urls[n], states[n]) for n in (0, 1))
    os.utime(second, (1, 1))
    third = copies.path(urls[2], states[2])
    assert [path.exists() for path in (first, second, third)] == [True, False, True]


def test_a_shard_that_changed_is_fetched_again_before_a_run_and_stops_one(
    bucket: str, shards: Path, cache: Path
) -> None:
    splits = config(f"{bucket}/train-*.tar", cache=Cache.none).load()
    other = write_shard(shards / "other.tar", [sample(f"{n}", "0") for n in range(8)])
    fsspec.filesystem("memory").pipe("/bucket/train-1.tar", other.read_bytes())
    for copy in cache.glob("*.copy"):
        copy.unlink()
    with pytest.raises(RunFailed, match="has changed since it was listed"):
        splits.train.images[np.arange(len(splits.train))]
    listing, _ = config(f"{bucket}/train-*.tar").list_files()
    assert listing.names[8] == "train-1.tar/0.jpg"


def test_what_cannot_be_fetched_is_refused(
    bucket: str, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for root, wrong in (
        (f"{bucket}/train-9.tar", "is not there"),
        (f"{bucket}/*.nothing", "matches no file"),
        (f"{bucket}/train-0.tar::{shards}/train-1.tar", "is remote, and .* is not"),
        ("nosuch://bucket/a.tar", "cannot be read: Protocol not known"),
    ):
        with pytest.raises(SslcliError, match=wrong):
            config(root).list_files()
    with pytest.raises(SslcliError, match="copies may have") as caught:
        config(f"{bucket}/train-0.tar", shard_cache=1e-6).list_files()
    assert caught.value.fix.startswith("data.shard_cache=")
    system = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(
        system, "get_file", lambda self, name, path: Path(path).write_bytes(b"half")
    )
    with pytest.raises(SslcliError, match="came with 4 of"):
        config(f"{bucket}/train-0.tar").list_files()


def test_none_asks_for_blocks_where_not_all_shards_fit(bucket: str, shards: Path) -> None:
    settings = {"cache": Cache.none, "shard_cache": gigabytes(shards, 4)}
    with pytest.raises(SslcliError, match="are needed at once") as caught:
        config(f"{bucket}/train-*.tar", **settings).load()
    assert caught.value.fix.startswith("data.mixed=3 ")
    config(f"{bucket}/train-*.tar", **settings, mixed=3).load()
    with pytest.raises(SslcliError, match="are needed at once"):
        config(f"{bucket}/train-*.tar", **settings, mixed=4).load()


def test_an_epoch_in_blocks_fetches_each_shard_about_once(
    bucket: str, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"cache": Cache.none, "shard_cache": gigabytes(shards, 4), "mixed": 2}
    train = config(f"{bucket}/train-*.tar", **settings).load().train
    fetched = count_fetched(monkeypatch)
    batches = Batches(train, 4, 0, "cpu")
    for step in range(batches.steps_per_epoch):
        batches.at(step)
    assert len(fetched) <= NUM + 2  # read ahead: two of the next epoch


def test_the_order_is_alike_for_shards_here_and_away_and_wherever_pixels_are_kept(
    bucket: str, shards: Path
) -> None:
    orders = []
    for root in (f"{bucket}/train-*.tar", str(shards)):
        for how in (Cache.memory, Cache.disk, Cache.none):
            for workers in (1, 4):
                train = config(root, cache=how, workers=workers, mixed=2).load().train
                batches = Batches(train, 4, 7, "cpu")
                orders.append([batches.at(step).numpy().tobytes() for step in range(15)])
    assert all(order == orders[0] for order in orders)


def test_blocks_are_a_permutation_of_few_blocks_at_a_time() -> None:
    numbers = np.random.default_rng(0).integers(0, 10, 500) * 3
    blocks = Blocks(numbers, 3)
    orders = [blocks.order(5, epoch) for epoch in range(4)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(500))
        in_turn = numbers[order]
        seen: list[set[int]] = []
        for number in in_turn.tolist():
            if not seen or (number not in seen[-1] and len(seen[-1]) == 3):
                seen.append(set())
            seen[-1].add(number)
        assert [len(together) for together in seen] == [3, 3, 3, 1]
        first = in_turn[np.isin(in_turn, list(seen[0]))]
        assert (first != np.sort(first)).any(), "they are mixed"
    assert len({order.tobytes() for order in orders}) == 4
    assert (blocks.order(5, 2) == orders[2]).all()
    assert (Blocks(numbers, 3).order(6, 2) != orders[2]).any()


def test_all_blocks_at_once_mix_everything_and_parts_keep_their_blocks() -> None:
    numbers = np.repeat(np.arange(10), 50)
    everything = Blocks(numbers, 10).order(0, 0)
    assert len(set(numbers[everything][:30].tolist())) > 6
    some = Blocks(numbers, 2).subset(np.array([0, 60, 499]))
    assert some.numbers.tolist() == [0, 1, 9]
    both = joined([some, Blocks(numbers[:1], 2)])
    assert both is not None
    assert both.numbers.tolist() == [0, 1, 9, 0]
    assert joined([some, None]) is None


def test_mixed_is_refused_with_tiles(shards: Path) -> None:
    with pytest.raises(SslcliError, match=r"data\.mixed must be left out with data\.tile"):
        config(shards, mixed=2, tile=8)
    assert remote.is_remote("s3://a")
