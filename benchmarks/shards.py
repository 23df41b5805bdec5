"""Tar shards and parquet files: how soon they can be trained on, how fast pictures are read, and how long a step waits.

    python -m benchmarks.shards [index] [start] [decode] [wait] [parquet] [--num 100000] [--shards 20] [--rounds 5]

index: finding what lies where, beside reading the same files whole and doing nothing, in as many threads, in turn. Cold: the
files are dropped from the system's cache before each; warm: they are in it.
start: from the config to the first batch of 256 pictures, Python's and torch's start-up apart. Cold: nothing kept, files in
the system's cache; warm: the second start.
decode: pictures a second, JPEG to an array of 64 x 64 x 3, ours in random order in threads, and WebDataset's own loader
(wds.WebDataset(…).decode("rgb8"), shards in their order), with one worker and with two, in turn (pip install webdataset).
wait: the part of SimCLR's steps that waits for the batch, ResNet-18, 64 px, 2 threads.
parquet: pictures a second in their order, and at random where no row group stays in memory: why data.cache=none is refused.
The shards hold --num JPEGs of 64 px with a class each, as WebDataset's writer lays them out; the parquet file a tenth of them.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE, BATCH, ROUND = 64, 256, 20_000
CHILD = "import sys; from benchmarks import shards; shards.measure(*sys.argv[1:])"
DISTINCT = 2_000


def pictures() -> list[bytes]:
    """JPEGs of clothes of the embedded sample in colours, with the grain that a photograph has."""
    from sslcli.data.sample import FILE

    with np.load(FILE) as arrays:
        clothes = arrays["x_train"][..., 0]
    rng = np.random.default_rng(0)
    encoded = []
    for index in range(DISTINCT):
        large = Image.fromarray(clothes[index]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = np.asarray(large)[..., None] * rng.uniform(0.3, 1, 3) + rng.uniform(0, 60, 3)
        pixels = pixels + rng.normal(0, 6, (SIDE, SIDE, 1))
        buffer = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
        encoded.append(buffer.getvalue())
    return encoded


def write_shard(work: tuple[str, int, int, list[bytes]]) -> None:
    """Class, then picture, each with its time in a header of its own: what wds.TarWriter writes."""
    path, first, count, encoded = work
    with tarfile.open(path, "w") as tar:
        for number in range(first, first + count):
            # Behind the picture's end, where no decoder looks: no two files are the same.
            content = encoded[number % len(encoded)] + number.to_bytes(4, "little")
            for ending, data in (("cls", str(number % 10).encode()), ("jpg", content)):
                info = tarfile.TarInfo(f"{number:08}.{ending}")
                info.size, info.mtime = len(data), time.time()  # type: ignore[assignment]
                tar.addfile(info, io.BytesIO(data))


def write_shards(folder: Path, num: int, shards: int) -> list[str]:
    encoded, per_shard = pictures(), num // shards
    names = [str(folder / f"train-{number:04}.tar") for number in range(shards)]
    work = [(name, n * per_shard, per_shard, encoded) for n, name in enumerate(names)]
    with get_context("fork").Pool(2) as pool:
        pool.map(write_shard, work, chunksize=1)
    return names


def write_parquet(path: Path, num: int) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    encoded = pictures()
    cells = [
        {"bytes": encoded[n % DISTINCT] + n.to_bytes(4, "little"), "path": f"{n}.jpg"}
        for n in range(num)
    ]
    table = pa.table({"image": cells, "label": [n % 10 for n in range(num)]})
    write_table(table, path, row_group_size=100)


def drop(files: Sequence[str]) -> None:
    """Takes the files out of the system's cache."""
    for file in files:
        number = os.open(file, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def read_whole(files: Sequence[str]) -> None:
    from sslcli.threads import consume, map_in_threads

    def read(number: int) -> None:
        buffer = bytearray(2**22)
        with Path(files[number]).open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    consume(map_in_threads(read, len(files)))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def index(files: list[str], rounds: int) -> None:
    from sslcli.data.shards import ShardsConfig

    pattern = "::".join(files)
    ShardsConfig(root=files[0]).list_files()  # what it imports
    cache = Path(os.environ["XDG_CACHE_HOME"])
    taken = sum(Path(file).stat().st_size for file in files)
    for state in ("cold", "warm"):
        reading, finding = [], []
        for _ in range(rounds):
            for work, found in (
                (lambda: read_whole(files), reading),
                (lambda: ShardsConfig(root=pattern).list_files(), finding),
            ):
                shutil.rmtree(cache, ignore_errors=True)
                if state == "cold":
                    drop(files)
                found.append(timed(work))
        ratio = statistics.median(r / f for r, f in zip(reading, finding, strict=True))
        print(
            f"index, {state}: {taken / 1e6:.0f} MB in {len(files)} shards: read whole in "
            f"{statistics.median(reading):.2f} s, found in {statistics.median(finding):.2f} s; reading / this: {ratio:.2f}"
        )


def measure(what: str, *words: str) -> None:
    """In a process of its own: prints what it found, as JSON."""
    print(json.dumps({"start": start, "wait": wait}[what](*words)))


def measured(what: str, *words: str) -> dict[str, float]:
    command = [sys.executable, "-c", CHILD, what, *words]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def config(kind: str, root: str, cache: str) -> Any:
    from sslcli.data import DATA
    from sslcli.data.folder import Cache

    return DATA[kind](root=root, resolution=SIDE, channels=3, cache=Cache[cache])  # type: ignore[call-arg]


def start(kind: str, root: str, cache: str) -> dict[str, float]:
    from sslcli.data.batches import Batches

    data = config(kind, root, cache)
    began = time.perf_counter()
    splits = data.load()
    loaded = time.perf_counter() - began
    Batches(splits.train, BATCH, 0, "cpu").at(0)
    return {"loaded": loaded, "seconds": time.perf_counter() - began}


def starts(root: str, rounds: int) -> None:
    for cache in ("disk", "none"):
        found: dict[str, list[float]] = {"cold": [], "warm": []}
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
        found["cold"].append(measured("start", "shards", root, cache)["seconds"])
        for _ in range(rounds):
            found["warm"].append(measured("start", "shards", root, cache)["seconds"])
        print(
            f"start, data.cache={cache}: to the first batch, cold {found['cold'][0]:.2f} s, "
            f"warm {statistics.median(found['warm']):.2f} s"
        )


def ours(root: str, workers: int) -> float:
    """Pictures a second, in random order."""
    from sslcli.data.decode import DecodeOptions
    from sslcli.data.pixel_storage import FilePixels
    from sslcli.data.shards import ShardsConfig

    listing, _ = ShardsConfig(root=root).list_files()
    pixels = FilePixels(listing, DecodeOptions(SIDE, 3, workers), 3)
    rows = np.random.default_rng(0).permutation(len(listing))[:ROUND]
    began = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        pixels[rows[first : first + BATCH]]
    return len(rows) / (time.perf_counter() - began)


def webdataset(files: list[str], workers: int) -> float:
    """Pictures a second of its own loader, decoded, in the shards' order."""
    import webdataset as wds
    from torch.utils.data import DataLoader

    kept = files[: max(2, ROUND // 5_000)]
    data = wds.WebDataset(kept, shardshuffle=False).decode("rgb8").to_tuple("jpg", "cls")
    loader = DataLoader(
        data.batched(BATCH), batch_size=None, num_workers=0 if workers == 1 else workers
    )
    seen, began = 0, time.perf_counter()
    for images, _ in loader:
        if seen == 0:
            began = time.perf_counter()  # processes have started
        else:
            seen += len(images)
        seen = seen or 1
    return (seen - 1) / (time.perf_counter() - began)


def decode(files: list[str], root: str, rounds: int) -> None:
    for workers in (1, 2):
        found: dict[str, list[float]] = {"ours": [], "webdataset": []}
        for _ in range(rounds):
            found["ours"].append(ours(root, workers))
            found["webdataset"].append(webdataset(files, workers))
        ratio = statistics.median(
            theirs / own for theirs, own in zip(found["webdataset"], found["ours"], strict=True)
        )
        print(
            f"decode, {workers} workers: ours {statistics.median(found['ours']):,.0f} pictures/s at random, "
            f"webdataset {statistics.median(found['webdataset']):,.0f} in order; webdataset / ours: {ratio:.2f}"
        )


def wait(kind: str, root: str, cache: str, steps: str) -> dict[str, float]:
    import torch

    from benchmarks.folder import learner, step, train
    from sslcli.data.batches import Batches
    from sslcli.method import Preprocessing

    torch.set_num_threads(2)
    data = config(kind, root, cache).load().train
    method, minimize = learner("resnet18", Preprocessing(SIDE, 3, (0.5,) * 3, (0.2,) * 3))
    batches = Batches(data, 32, 0, "cpu")
    step(batches.at(0), (method, minimize))
    waited, began = 0.0, time.perf_counter()
    for number in range(1, int(steps) + 1):
        at = time.perf_counter()
        batch = batches.at(number)
        waited += time.perf_counter() - at
        train(method.views(batch), method, minimize)
    return {"wait": waited / (time.perf_counter() - began)}


def waits(roots: dict[str, str], rounds: int) -> None:
    for kind, cache in (("shards", "none"), ("shards", "disk"), ("parquet", "disk")):
        shares = [
            measured("wait", kind, roots[kind], cache, "6")["wait"]
            for _ in range(max(1, rounds // 2))
        ]
        print(f"wait, {kind}, data.cache={cache}: {statistics.median(shares):.2%} of the time")


def parquet(path: str) -> None:
    from sslcli.data import parquet_bytes

    listing, _ = config("parquet", path, "disk").list_files()
    count = min(2_000, len(listing))
    rates = []
    for rows in (range(count), np.random.default_rng(0).permutation(len(listing))[: count // 10]):
        parquet_bytes.MOST_KEPT = 0  # but for two groups
        seconds = timed(lambda rows=rows: [listing.read(int(row)) for row in rows])
        rates.append(len(rows) / seconds)
    print(
        f"parquet, row groups of 100: {rates[0]:,.0f} pictures/s read in their order, {rates[1]:,.0f} at random"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = ["index", "start", "decode", "wait", "parquet"]
    parser.add_argument("what", nargs="*", default=every)
    parser.add_argument("--num", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        (folder / "shards").mkdir()
        files = write_shards(folder / "shards", given.num, given.shards)
        roots = {"shards": str(folder / "shards"), "parquet": str(folder / "train.parquet")}
        write_parquet(Path(roots["parquet"]), given.num // 10)
        time.sleep(3)  # until what was made is old enough to be remembered
        print(f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
        if "index" in given.what:
            index(files, given.rounds)
        if "start" in given.what:
            starts(roots["shards"], given.rounds)
        if "decode" in given.what:
            decode(files, roots["shards"], given.rounds)
        if "wait" in given.what:
            waits(roots, given.rounds)
        if "parquet" in given.what:
            parquet(roots["parquet"])
        print(f"load average {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
