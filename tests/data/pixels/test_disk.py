"""Decoding to disk: interrupted, by several processes, and where there is no room."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
from photos import Seen, T, config, contents

from sslcli.data import disk
from sslcli.data.folder import Cache
from sslcli.errors import SslcliError


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
