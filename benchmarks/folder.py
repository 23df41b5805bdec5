"""Folders of pictures: how long until the first step, how long a step waits for its batch, and what a long listing costs.

    python -m benchmarks.folder [start] [links] [wait] [--pictures FOLDER] [--num 25000] [--links 200000] [--rounds 3]

start: from nothing to SimCLR's first step (convnet, 32 px), Python's and torch's start-up apart, beside the decoder's own time
for the same files in as many threads, in turn. Cold: nothing kept from before; the files are in the system's cache.
links: a folder of --links links to 2,000 files, a thousand a class: listed; loaded with data.cache=none, cold, when every file
is read, and warm.
wait: the part of SimCLR's steps that waits for the batch (and for batch and views), resnet18, 32 and 128 px.
Pictures are JPEGs made from the embedded sample, 32 px and 500 x 375, unless --pictures names a folder of others.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sslcli.data.pixel_cache import STABLE_AFTER

CHILD = "import sys; from benchmarks import folder; folder.measure(*sys.argv[1:])"
NUM_LINKED = 2_000


def measure(what: str, root: str, *words: str) -> None:
    """In a process of its own: prints what it found, as JSON."""
    found = {"decoder": decoder, "first_step": first_step, "load": load, "wait": wait}[what](
        root, *words
    )
    print(json.dumps(found))


def measured(what: str, root: Path, *words: str, cache: Path) -> dict[str, Any]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", CHILD, what, str(root), *words]
    output = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return dict(json.loads(output.splitlines()[-1]))


def decoder(root: str, resolution: str) -> dict[str, float]:
    """Every file opened, decoded, made square, an array: what no way of keeping pixels can do without."""
    from sslcli.data.decode import decode
    from sslcli.data.scan import list_folder
    from sslcli.threads import consume, map_in_threads

    listing = list_folder(Path(root))

    def work(index: int) -> None:
        np.asarray(decode(listing.path(index), int(resolution)).convert("RGB"))

    began = time.perf_counter()
    consume(map_in_threads(work, len(listing)))
    return {"seconds": time.perf_counter() - began}


def first_step(root: str, cache: str) -> dict[str, float]:
    """Seconds until the data are there, until their statistics are, and until the first step is done."""
    import torch

    from sslcli.data.batches import Batches
    from sslcli.data.folder import Cache, FolderConfig
    from sslcli.data.statistics import channel_moments
    from sslcli.method import Preprocessing

    step(
        torch.zeros(64, 32, 32, 3, dtype=torch.uint8),
        learner("convnet", Preprocessing(32, 3, (0.5,) * 3, (0.2,) * 3)),
    )
    began = time.perf_counter()
    splits = FolderConfig(root=root, resolution=32, cache=Cache[cache]).load()
    loaded = time.perf_counter() - began
    preprocessing = Preprocessing(32, 3, *channel_moments(splits.pretraining))
    moments = time.perf_counter() - began
    step(Batches(splits.pretraining, 64, 0, "cpu").at(0), learner("convnet", preprocessing))
    return {"loaded": loaded, "moments": moments, "seconds": time.perf_counter() - began}


def load(root: str, cache: str) -> dict[str, float]:
    """Seconds to list the files, and to load; megabytes of memory that were added."""
    from sslcli.data import pixel_storage  # what load imports
    from sslcli.data.folder import Cache, FolderConfig
    from sslcli.data.scan import scan

    assert pixel_storage
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    scan(Path(root))
    listed = time.perf_counter() - began
    after_listing = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    FolderConfig(root=root, resolution=128, cache=Cache[cache]).load()
    seconds = time.perf_counter() - began
    megabytes = [
        (at - before) / 1024
        for at in (after_listing, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    ]
    return {"listed": listed, "seconds": seconds, "listing_mb": megabytes[0], "mb": megabytes[1]}


def wait(
    root: str, cache: str, resolution: str, batch_size: str, num_steps: str
) -> dict[str, float]:
    from sslcli.data.batches import Batches
    from sslcli.data.folder import Cache, FolderConfig
    from sslcli.method import Preprocessing

    side, num = int(resolution), int(num_steps)
    part = FolderConfig(root=root, resolution=side, cache=Cache[cache]).load().train
    method, minimize = learner("resnet18", Preprocessing(side, 3, (0.5,) * 3, (0.2,) * 3))
    pictures = Batches(part, int(batch_size), 0, "cpu")
    step(pictures.at(0), (method, minimize))
    waited = prepared = 0.0
    began = time.perf_counter()
    for number in range(1, num + 1):
        at = time.perf_counter()
        batch = pictures.at(number)
        waited += time.perf_counter() - at
        views = method.views(batch)
        prepared += time.perf_counter() - at
        train(views, method, minimize)
    seconds = time.perf_counter() - began
    return {
        "wait": waited / seconds,
        "data_share": prepared / seconds,
        "images_per_second": num * len(batch) / seconds,
    }


def learner(encoder: str, preprocessing: Any) -> Any:
    import torch

    from sslcli.engine.device import Compute
    from sslcli.engine.minimize import Minimizer
    from sslcli.engine.optim_config import SGDConfig
    from sslcli.methods.simclr import SimCLRConfig
    from sslcli.nets.encoders import ENCODERS

    compute = Compute(torch.device("cpu"), None)
    method = SimCLRConfig().build(
        ENCODERS[encoder]().build(3, preprocessing.resolution), preprocessing
    )
    for module in method.modules().values():
        compute.to_device(module)
    return method, Minimizer.of(method, SGDConfig(lr=0.01), compute, lambda _: 0.01)


def step(batch: Any, parts: Any) -> None:
    method, minimize = parts
    train(method.views(batch), method, minimize)


def train(views: Any, method: Any, minimize: Any) -> None:
    from sslcli.method import Progress

    minimize.begin(0)
    method.train_step(views, minimize, Progress(0, 1000))
    minimize.end()


def make_pictures(folder: Path, num: int, size: tuple[int, int]) -> Path:
    """JPEGs in ten class folders: clothes of the embedded sample in colours, with the grain that a photograph has."""
    from sslcli.data.sample import FILE

    with np.load(FILE) as arrays:
        clothes = arrays["x_train"][..., 0]
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (size[1], size[0], 1))
    for index in range(num):
        place = folder / str(index % 10)
        place.mkdir(parents=True, exist_ok=True)
        picture = np.asarray(
            Image.fromarray(clothes[index % len(clothes)]).resize(size, Image.Resampling.BICUBIC)
        )
        pixels = picture[..., None] * rng.uniform(0.3, 1, 3) + rng.uniform(0, 60, 3) + grain
        buffer = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
        (place / f"{index:06}.jpg").write_bytes(buffer.getvalue())
    settle()
    return folder


def settle() -> None:
    """Waits until what was made is old enough to be remembered."""
    time.sleep(STABLE_AFTER / 1e9 + 1)


def start(pictures: Path, cache: Path, rounds: int) -> None:
    found: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way in ("memory", "disk", "none"):
            shutil.rmtree(cache, ignore_errors=True)
            alone = measured("decoder", pictures, "32", cache=cache)["seconds"]
            for state in ("cold", "warm"):
                at = measured("first_step", pictures, way, cache=cache)
                found.setdefault(f"{way} {state}", []).append(at["seconds"])
                ratios.setdefault(f"{way} {state}", []).append(alone / at["seconds"])
            found.setdefault("decoder", []).append(alone)
    print(
        f"start: {sum(1 for _ in pictures.rglob('*.jpg')):,} pictures, seconds to the first step (median of {rounds})"
    )
    for name, seconds in found.items():
        share = f"decoder / this: {statistics.median(ratios[name]):.2f}" if name in ratios else ""
        spread = f"({min(seconds):.2f} to {max(seconds):.2f})"
        print(f"  {name:<12} {statistics.median(seconds):6.2f} s {spread:<18} {share}")


def links(folder: Path, pictures: Path, cache: Path, num: int) -> None:
    files = [
        path for _, path in zip(range(NUM_LINKED), sorted(pictures.rglob("*.jpg")), strict=False)
    ]
    for index in range(num):
        place = folder / f"{index // 1000:04}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index:07}.jpg").hardlink_to(files[index % len(files)])
    settle()
    shutil.rmtree(cache, ignore_errors=True)
    for state in ("cold", "warm", "warm"):
        at = measured("load", folder, "none", cache=cache)
        print(
            f"links: {num:,} of {len(files):,} files: listed in {at['listed']:.2f} s ({at['listing_mb']:.0f} MB more "
            f"memory); load with data.cache=none, {state}: {at['seconds']:.2f} s ({at['mb']:.0f} MB)"
        )


def waits(small: Path, large: Path, cache: Path, rounds: int) -> None:
    for root, words in ((small, ("32", "32", "6")), (large, ("128", "16", "3"))):
        found: dict[str, list[dict[str, float]]] = {"memory": [], "none": []}
        for _ in range(rounds):
            for way, values in found.items():
                values.append(measured("wait", root, way, *words, cache=cache))
        for way, values in found.items():
            middle = {key: statistics.median(value[key] for value in values) for key in values[0]}
            print(
                f"wait: resnet18, {words[0]} px, batch {words[1]}, data.cache={way}: waits {middle['wait']:.2%} of the time, "
                f"with the views {middle['data_share']:.2%}; {middle['images_per_second']:.1f} images/s"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", default=["start", "links", "wait"])
    parser.add_argument(
        "--pictures", type=Path, help="a folder of pictures to use in place of those of 32 px"
    )
    parser.add_argument("--num", type=int, default=25_000)
    parser.add_argument("--links", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary), Path(temporary) / "cache"
        small = given.pictures or make_pictures(folder / "small", given.num, (32, 32))
        print(f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
        if "start" in given.what:
            start(small, cache, given.rounds)
        if "links" in given.what:
            links(folder / "links", small, cache, given.links)
        if "wait" in given.what:
            waits(small, make_pictures(folder / "large", 600, (500, 375)), cache, given.rounds)
        print(f"load average {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
