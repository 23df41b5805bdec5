"""Images/s of our methods beside lightly's documented loops of the same: same encoder, batch of 128, widths of heads, size of
pictures (32 px, colour) and kinds of augmentation.

    python -m benchmarks.methods [--methods byol mae …] [--rounds 3] [--seconds 2.5]      (after pip install lightly)

Ours is the loop of `sslcli pretrain`, with records and run folder (`throughput.end_to_end`). lightly's is as
`lightly_methods` has it, in the precision that ours has and in the documented float32, with the number of workers (0, 1
or 2) that was fastest in a short trial in the former. All train for about so many seconds, in turn, round by round; a
ratio is of two neighbours in one round: the median, and the smallest and largest. An image counts once, whatever its views.

`moco` is the documented one: the first view is the query, the second its key, here by method.symmetric=false. In
`moco_symmetric`, our default, each view is the query of the other in both. `dino` trains the default convnet, `dino_vit` the ViT of `mae`: width 96, 4 blocks.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from benchmarks import lightly_loop
from benchmarks.throughput import SHAPE, Family, end_to_end, pictures
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.engine.device import Compute
from sslcli.engine.optim_config import AdamWConfig, OptimConfig, SGDConfig
from sslcli.engine.runtime_config import Precision, RuntimeConfig
from sslcli.method import MethodConfig
from sslcli.methods.barlow_twins import BarlowTwinsConfig
from sslcli.methods.byol import BYOLConfig
from sslcli.methods.dino import DINOConfig
from sslcli.methods.mae import MAEConfig
from sslcli.methods.moco import MoCoConfig
from sslcli.methods.simsiam import SimSiamConfig
from sslcli.nets.encoder_config import ConvNetConfig, EncoderConfig
from sslcli.nets.head_config import HeadConfig
from sslcli.nets.vit_config import ViTConfig

BATCH_SIZE = 128
TRIAL = 4
"""Steps of a trial."""
FEWEST = 4
"""Steps of a round."""
WORKERS = (0, 1, 2)


def views(crop_scale: list[float], saturation: float, blur: float, solarize: float) -> ViewConfig:
    """Brightness, contrast and hue are alike in all of lightly's transforms here; its two views' probabilities are averaged."""
    return ViewConfig(
        crop_scale=crop_scale, brightness=0.4, contrast=0.4, saturation=saturation, hue=0.1,
        blur=blur, solarize=solarize,
    )  # fmt: skip


@dataclass(frozen=True)
class Contest:
    """`theirs`: the class of `lightly_methods`."""

    ours: MethodConfig
    theirs: str
    encoder: EncoderConfig
    optim: OptimConfig

    def family(self, steps: int) -> Family:
        build = lambda: self.ours.build(self.encoder.build(3, 32), SHAPE)  # noqa: E731
        return Family(build, BATCH_SIZE, steps, optim=self.optim)


CONVNET, VIT = ConvNetConfig(), ViTConfig(width=96, depth=4)
SGD, ADAMW = SGDConfig(lr=0.06), AdamWConfig()
BYOL_VIEWS = views([0.08, 1.0], 0.2, 0.0, 0.1)
MOCO_VIEWS = views([0.2, 1.0], 0.4, 0.5, 0.0)
DINO = DINOConfig(
    views=views([0.4, 1.0], 0.2, 0.55, 0.1),
    small_views=replace(views([0.05, 0.4], 0.2, 0.5, 0.0), crop_size=0.5),
)
SIMSIAM = SimSiamConfig(
    projector=HeadConfig(num_layers=3, out=512, last_norm=True), views=MOCO_VIEWS
)
MAE = MAEConfig(views=ViewConfig(crop_scale=[0.2, 1.0], jitter=0.0, grayscale=0.0, solarize=0.0))
METHODS = {
    "byol": Contest(BYOLConfig(views=BYOL_VIEWS), "BYOL", CONVNET, SGD),
    "simsiam": Contest(SIMSIAM, "SimSiam", CONVNET, SGD),
    "barlow_twins": Contest(BarlowTwinsConfig(views=BYOL_VIEWS), "BarlowTwins", CONVNET, SGD),
    "moco": Contest(MoCoConfig(views=MOCO_VIEWS, symmetric=False), "MoCo", CONVNET, SGD),
    "moco_symmetric": Contest(MoCoConfig(views=MOCO_VIEWS), "SymmetricMoCo", CONVNET, SGD),
    "dino": Contest(DINO, "DINO", CONVNET, ADAMW),
    "dino_vit": Contest(DINO, "DINO", VIT, ADAMW),
    "mae": Contest(MAE, "MAE", VIT, ADAMW),
}
DEFAULT = ("byol", "simsiam", "barlow_twins", "moco", "moco_symmetric", "dino", "mae")


def lightlys(theirs: str, encoder: EncoderConfig, steps: int, bf16: bool, workers: int) -> float:
    from benchmarks import lightly_methods

    example = getattr(lightly_methods, theirs)(encoder)
    images = pictures().images[:]
    return lightly_loop.images_per_second(example, images, BATCH_SIZE, steps, bf16, workers)


def measure(
    contest: Contest,
    compute: Compute,
    process: ProcessPoolExecutor,
    rounds: int,
    seconds: float,
) -> tuple[int, dict[str, list[float]]]:
    """lightly's number of workers, and the images/s of ours and both of lightly's, round by round."""

    def theirs(steps: int, bf16: bool, workers: int) -> float:
        asked = (contest.theirs, contest.encoder, steps, bf16, workers)
        return process.submit(lightlys, *asked).result()

    bf16 = compute.precision == "bf16"
    trials = {workers: theirs(TRIAL, bf16, workers) for workers in WORKERS}
    workers = max(trials, key=trials.__getitem__)
    contestants: dict[str, Callable[[int], float]] = {
        "ours": lambda steps: end_to_end(contest.family(steps), compute),
        f"lightly, {compute.precision}": lambda steps: theirs(steps, bf16, workers),
    }
    if bf16:
        contestants["lightly, as documented"] = lambda steps: theirs(steps, False, workers)
    expected = {"ours": contestants["ours"](TRIAL)}
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            speed = speeds[name][-1] if speeds[name] else expected.get(name, trials[workers])
            speeds[name].append(run(max(FEWEST, round(seconds * speed / BATCH_SIZE))))
    return workers, speeds


def show(name: str, workers: int, speeds: dict[str, list[float]]) -> None:
    print(f"{name}, batch {BATCH_SIZE}; lightly with {workers} workers")
    for contestant, found in speeds.items():
        low, middle, high = min(found), statistics.median(found), max(found)
        line = f"  {contestant:<24} {middle:7.0f} images/s ({low:.0f} to {high:.0f})"
        if contestant != "ours":
            ratios = [us / them for us, them in zip(speeds["ours"], found, strict=True)]
            spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
            line = f"{line:<60} ours / this: {statistics.median(ratios):.2f} {spread}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=list(DEFAULT), choices=list(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--against", type=lightly_loop.peer, default="lightly")
    given = parser.parse_args()
    compute = Compute.choose(RuntimeConfig(precision=Precision.auto))
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        for name in given.methods:
            contest = METHODS[name]
            show(name, *measure(contest, compute, process, given.rounds, given.seconds))


if __name__ == "__main__":
    main()
