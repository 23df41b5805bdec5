"""Views a second on one thread: ours against lightly's SimCLRTransform, in turn, at the same settings.

    python -m benchmarks.views [--threads 1] [--rounds 7] [--peer 512]

Pictures are 32x32 colour, two views each: crops of 0.08 to 1 of the area, flip, colour jitter 0.4 0.4 0.4 0.1
with probability 0.8, grey 0.2, no blur, normalised. lightly (`pip install lightly`) is left out where it is not
installed; it makes its views from PIL pictures one by one, as its data loader does. Machines are noisy: trust the
ratio. Two threads are slow where another process keeps one of two cores busy: every operation waits for both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from benchmarks import lightly_loop
from sslcli.augment.augmentation_config import ViewConfig

BATCH_SIZE = 256


def ours(pictures: np.ndarray) -> Callable[[], int]:
    """Makes the views of all `pictures` (N, S, S, C), batch by batch, and says how many there are."""
    channels = pictures.shape[3]
    config = ViewConfig(
        crop_scale=[0.08, 1.0], brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, solarize=0.0
    )
    augment = config.build((0.5,) * channels, (0.25,) * channels)
    batches = torch.from_numpy(pictures).split(BATCH_SIZE)
    return lambda: sum(len(augment(batch, num_views=2)) for batch in batches)


def lightlys(pictures: np.ndarray) -> Callable[[], int]:
    from benchmarks.lightly_methods import simclr_transform

    transform = simclr_transform()
    return lambda: sum(len(transform(Image.fromarray(picture))) for picture in pictures)


def views_a_second(make: Callable[[], int]) -> float:
    start = time.perf_counter()
    return make() / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description="Views a second: ours against lightly's.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", type=int, default=512, help="pictures a round for lightly")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    # As a training step does too: freeing a large block teaches the C library to keep memory for the next call.
    torch.empty(2**22)
    coarse = np.random.default_rng(0).integers(0, 256, (16 * BATCH_SIZE, 8, 8, 3), dtype=np.uint8)
    pictures = coarse.repeat(4, 1).repeat(4, 2)
    gray = np.ascontiguousarray(pictures[:, 2:30, 2:30, :1])
    contestants = {"ours, 32x32 colour": ours(pictures), "ours, 28x28 grey": ours(gray)}
    if lightly_loop.INSTALLED:
        contestants["lightly, 32x32 colour"] = lightlys(pictures[: args.peer])
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(args.rounds):
        for name, make in contestants.items():
            speeds[name].append(views_a_second(make))
    for name, found in speeds.items():
        low, middle, high = min(found), statistics.median(found), max(found)
        print(
            f"{name:<22} {middle:9,.0f} views/s on {args.threads} thread(s)   ({low:,.0f} to {high:,.0f})"
        )
    if lightly_loop.INSTALLED:
        pairs = zip(speeds["ours, 32x32 colour"], speeds["lightly, 32x32 colour"], strict=True)
        ratios = [us / them for us, them in pairs]
        print(
            f"ratio, 32x32 colour    {statistics.median(ratios):9.1f}   ({min(ratios):.1f} to {max(ratios):.1f})"
        )


if __name__ == "__main__":
    main()
