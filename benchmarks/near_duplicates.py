"""What the perceptual hash of `sslcli inspect` finds: copies that were changed, and pictures that only look alike.

    python -m benchmarks.near_duplicates [--pictures FOLDER ...] [--num 4000] [--many 100000]

For each folder, and for the embedded sample: the share of pictures that are found beside a copy of themselves which was saved
again, resized, made grey, brightened or cropped; and how many pairs are found among the pictures themselves, of a million pairs.
The latter are real copies too, where the folder has some: exact ones are not counted. Then the processor seconds that so many pictures'
hashes take to be compared.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sslcli.data.sample import FILE
from sslcli.data.scan import list_folder
from sslcli.tools.inspect.near_duplicates import SMALL, WINDOWS, near_pairs, perceptual_hashes
from sslcli.tools.inspect.picture_facts import Look, look_at_bytes, look_at_pixels

CHANGED = 600
"""Pictures that are changed in each way."""


def saved(picture: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Image.open(content)


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    across, down = round(picture.width * share), round(picture.height * share)
    return picture.crop((across, down, picture.width - across, picture.height - down))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG quality 75": lambda picture: saved(picture, 75),
    "JPEG quality 30": lambda picture: saved(picture, 30),
    "half the size": lambda picture: scaled(picture, 0.5),
    "0.8 of the size, quality 80": lambda picture: saved(scaled(picture, 0.8), 80),
    "twice the size": lambda picture: scaled(picture, 2),
    "grey": lambda picture: picture.convert("L"),
    "15 % brighter": lambda picture: picture.point(lambda level: min(255, 1.15 * level)),
    "1 % cropped at each side": lambda picture: cropped(picture, 0.01),
    "2 % cropped at each side": lambda picture: cropped(picture, 0.02),
    "5 % cropped at each side": lambda picture: cropped(picture, 0.05),
    "4 % cropped at two sides": lambda picture: picture.crop(
        (0, 0, round(0.96 * picture.width), round(0.96 * picture.height))
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", nargs="*", default=[])
    parser.add_argument("--num", type=int, default=4_000)
    parser.add_argument("--many", type=int, default=100_000)
    given = parser.parse_args()
    with np.load(FILE) as arrays:
        sample = [Image.fromarray(pixels[..., 0]).convert("RGB") for pixels in arrays["x_train"]]
    report("the embedded sample, 28 px", chosen(sample, given.num))
    for folder in map(Path, given.pictures):
        listing = list_folder(folder)
        rows = np.random.default_rng(0).permutation(len(listing))[: given.num].tolist()
        read = [Image.open(io.BytesIO(listing.read(row))).convert("RGB") for row in rows]
        report(str(folder), read)
    seconds = compare_many(given.many)
    print(f"{given.many:,} pictures of blots: compared in {seconds:.1f} s of one processor")


def chosen(pictures: list[Image.Image], num: int) -> list[Image.Image]:
    order = np.random.default_rng(0).permutation(len(pictures))[:num].tolist()
    return [pictures[index] for index in order]


def report(name: str, pictures: list[Image.Image]) -> None:
    looks = [look_at_pixels(np.asarray(picture)) for picture in pictures]
    hashes, small = summed_up(looks)
    exact = {look.digest for look in looks}
    pairs = near_pairs(hashes, small, np.arange(len(looks)))
    near = [(i, j) for i, j in pairs.tolist() if looks[i].digest != looks[j].digest]
    all_pairs = len(looks) * (len(looks) - 1) / 2
    print(f"{name}: {len(looks):,} pictures, {len(looks) - len(exact)} exact copies among them")
    print(
        f"  {'pairs among themselves':32} {len(near):5} = {1e6 * len(near) / all_pairs:.2f} of a million"
    )
    for change, apply in CHANGES.items():
        num = min(CHANGED, len(looks))
        both = [*looks[:num], *(changed_look(apply(picture)) for picture in pictures[:num])]
        found = near_pairs(*summed_up(both), np.arange(2 * num))
        share = (found[:, 1] - found[:, 0] == num).sum() / num
        print(f"  {change:32} {share:.3f} found", flush=True)


def changed_look(picture: Image.Image) -> Look:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return look_at_bytes(content.getvalue())


def summed_up(looks: list[Look]) -> tuple[np.ndarray, np.ndarray]:
    grey = np.stack([look.grey for look in looks]).astype(np.float32)
    return perceptual_hashes(grey), np.stack([look.small for look in looks])


def compare_many(num: int) -> float:
    """Processor seconds for pictures of 5 x 5 blots, whose hashes are more crowded than random bits."""
    rng = np.random.default_rng(0)
    hashes = np.empty((num, len(WINDOWS)), dtype=np.uint64)
    small = np.empty((num, len(WINDOWS), SMALL, SMALL), dtype=np.uint8)
    for row in range(num):
        blots = rng.integers(0, 256, (5, 5), dtype=np.uint8)
        look = look_at_pixels(np.asarray(Image.fromarray(blots).resize((64, 64))))
        hashes[row], small[row] = perceptual_hashes(look.grey.astype(np.float32)), look.small
    began = time.process_time()
    near_pairs(hashes, small, np.arange(num))
    return time.process_time() - began


if __name__ == "__main__":
    main()
