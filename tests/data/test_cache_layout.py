"""Caches of decoded pictures: written once, read by later versions, by one process at a time."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.images import untracked
from sslcli.data.pixel_cache import cache_key, locked
from sslcli.data.scan import scan

T = TypeVar("T")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", ["memory-mapped", "checked"])
def test_a_cache_written_by_0_1_0_is_still_read(tmp_path: Path, cache: Path, kind: str) -> None:
    """Names, key and content are spelt out here: they must not change."""
    root = tmp_path / "photos"
    root.mkdir()
    names = [f"{index}.png" for index in range(4)]
    for index, name in enumerate(names):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(root / name)
    sizes = np.array([(root / name).stat().st_size for name in names], dtype=np.int64)
    changed = np.array([(root / name).stat().st_ctime_ns for name in names], dtype=np.int64)
    listed = hashlib.sha256("\0".join(names).encode() + sizes.tobytes() + changed.tobytes())
    key = f"{listed.hexdigest()[:16]}-d2"
    of_root = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    folder = cache / "sslcli" / "folders" / f"photos-{of_root}"
    folder.mkdir(parents=True)
    records = np.zeros((4, 17), dtype=np.uint8)
    records[:, 0] = [10, 11, 12, 13]  # digests of the files, then 2: in colour
    records[:, 16] = 2
    pixels = np.full((4, 8, 8, 3), 77, dtype=np.uint8)  # of other pictures: they are not decoded
    stem = "8x3" if kind == "memory-mapped" else "checked"
    if kind == "memory-mapped":
        np.save(folder / f"8x3-{key}.npy", pixels)
    with (folder / f"{stem}-{key}.records").open("wb") as file:
        np.save(file, records)
    how = Cache.disk if kind == "memory-mapped" else Cache.none
    splits = FolderConfig(root=str(root), resolution=8, cache=how).load()
    assert splits.train.digests is not None
    assert splits.val.digests is not None
    digests = [*splits.train.digests[:, 0], *splits.val.digests[:, 0]]
    assert sorted(digests) == [10, 11, 12, 13]
    if kind == "memory-mapped":
        assert (splits.train.images[:] == 77).all()
    left = {path.name for path in folder.iterdir()} - {f"{stem}-{key}.records", ".8x3.lock"}
    assert left == ({f"8x3-{key}.npy"} if kind == "memory-mapped" else set())


def test_a_cache_that_may_hold_what_was_misread_has_another_name(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"1")
    plain = scan(tmp_path)[0]
    assert cache_key(plain, in_8_bits=True) == f"{plain.key}-d2"
    assert cache_key(plain) == f"{plain.key}-d4"
    (tmp_path / "c.TIF").write_bytes(b"1")
    with_tiff = scan(tmp_path)[0]
    assert cache_key(with_tiff, in_8_bits=True) == f"{with_tiff.key}-d4"


def test_the_second_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    order: list[str] = []

    def track(items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
        said.append(label)
        return items

    def second() -> None:
        with locked(tmp_path / "lock", track):
            order.append("second")

    waiting = threading.Thread(target=second)
    with locked(tmp_path / "lock", untracked):
        waiting.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    waiting.join(timeout=30)
    assert order == ["first", "second"]
    assert said == ["waiting for another process that decodes these pictures"]
