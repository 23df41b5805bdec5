"""What is claimed of a device, checked on the one that is here: one table, ready to be pasted into an issue.

    python -m benchmarks.device                      (CUDA; about 10 minutes)
    python -m benchmarks.device --checks waits speed (some of them)
    python -m benchmarks.device --device cpu         (the same checks where there is no card: of the checks themselves)

A row is a claim, what was measured, and whether it holds. `not checked` names what the machine lacks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.plan import batch_of, build, train
from benchmarks.resuming import RUNS, begin, begun, differences, in_few_words, killed, num_records
from benchmarks.throughput import FAMILIES, FOR_A_CARD, bare, end_to_end
from sslcli.cli.compose import compose, composed_to_dataclass, register
from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.images import ImageSet
from sslcli.data.sample import FashionSampleConfig
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig
from sslcli.engine.rehearsal import Rehearsal
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.engine.trial import take_step
from sslcli.generators import seed_generators
from sslcli.method import LabelReader, Preprocessing, Progress
from sslcli.methods import METHODS
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.trained.encoder import build_initial, write_encoder

STEPS, BATCH = 3, 64
CLOSE = 1e-3
"""The largest difference of a loss from the CPU's, relative: sums in another order, three steps long."""
DRAWS = (
    "aten.rand",
    "aten.randn",
    "aten.randint",
    "aten.randperm",
    "aten.uniform_",
    "aten.normal_",
    "aten.bernoulli",
    "aten.native_dropout",
)
"""Operations that draw from a generator, by how their names begin."""
NEAR = 0.02
"""The same, of losses in half precision from those in float32."""
POINTS = 0.5
"""Percentage points by which the probe of the same encoder may differ between the devices."""


class DrawnOnTheCpu(TorchDispatchMode):
    """Draws every random number from the CPU's generator, so that a seed gives the same ones on every device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, given = str(func), dict(kwargs or {})
        flat = [
            one for one in (*args, given.get("device")) if isinstance(one, Tensor | torch.device)
        ]
        device = next((one if isinstance(one, torch.device) else one.device for one in flat), None)
        if device is None or device.type == "cpu" or not name.startswith(DRAWS):
            return func(*args, **given)
        if "device" in given:
            given["device"] = torch.device("cpu")
        drawn = func(*(one.cpu() if isinstance(one, Tensor) else one for one in args), **given)
        return args[0].copy_(drawn) if name.split(".")[1].endswith("_") else drawn.to(device)


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """Keeps convolutions on a card from being rounded to TF32, which torch allows by default."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class Row(NamedTuple):
    claim: str
    measured: str
    holds: bool | None
    """None: not checked."""


def shape_of(pictures: ImageSet) -> Preprocessing:
    return Preprocessing(pictures.resolution, pictures.channels, (0.5,), (0.25,))


def words_of(name: str, teacher: Path) -> tuple[str, list[str]]:
    """The command that trains a method, and its words."""
    further = {"distillation": [f"method.teacher={teacher}"]}
    of_inpaint = {"context_encoder": ("inpaint", ["method.adversarial=true"])}
    return of_inpaint.get(name, ("pretrain", [f"method={name}", *further.get(name, [])]))


def steps(
    name: str, teacher: Path, pictures: ImageSet, compute: Compute, *, may_wait: bool = True
) -> list[float]:
    """Losses of the first steps of a method, as its command would train it."""
    command, words = words_of(name, teacher)
    config: Any = composed_to_dataclass(compose(command, words))
    shape = shape_of(pictures)
    seed_generators(0)
    method = config.method.build(config.encoder.build(shape.channels, shape.resolution), shape)
    for module in method.modules().values():
        compute.to_device(module.train())
    minimize = Minimizer.of(method, config.optim, compute, lambda _: 1e-3)
    kind = LabelledBatches if isinstance(method, LabelReader) else Batches
    batches: Any = kind(pictures, BATCH, 0, compute.device)
    losses: list[Tensor] = []
    for step in range(STEPS):
        if not may_wait:  # the first steps set up memory, which waits
            torch.cuda.set_sync_debug_mode("error" if step == STEPS - 1 else "default")
        metrics = take_step(
            method, minimize, batches.at(step), compute, Progress(step, STEPS, STEPS)
        )
        losses.append(next(iter(metrics.values())))
    if not may_wait:
        torch.cuda.set_sync_debug_mode("default")
    return [float(loss) for loss in losses]


def apart(found: list[float], expected: list[float]) -> float:
    """The largest relative difference; infinite where a loss is not finite, which `max` may pass over."""
    pairs = list(zip(found, expected, strict=True))
    if not all(math.isfinite(loss) for pair in pairs for loss in pair):
        return math.inf
    return max(abs(a - b) / max(abs(b), 1e-6) for a, b in pairs)


def compute_on(device: str, precision: Precision = Precision.fp32) -> Compute:
    return Compute.choose(RuntimeConfig(device=DeviceChoice(device), precision=precision))


def methods_equal_the_cpu(device: str, teacher: Path, pictures: ImageSet) -> Iterator[Row]:
    for name in METHODS:
        with whole_float32(), DrawnOnTheCpu():
            theirs, ours = (steps(name, teacher, pictures, compute_on(d)) for d in ("cpu", device))
        gap = apart(ours, theirs)
        yield Row(
            f"`{name}`: losses of {STEPS} steps as on the CPU", f"{gap:.1e} apart", gap < CLOSE
        )


def plans_hold(device: str) -> Iterator[Row]:
    """The plan's peak of a step beside what torch's allocator says of the card."""
    if device != "cuda":
        yield Row("`plan`'s peak ÷ the allocator's", "on the CPU: python -m benchmarks.plan", None)
        return
    for name, encoder, batch in (
        ("simclr", "resnet18", 64),
        ("simclr", "resnet18", 512),
        ("byol", "convnet", 256),
        ("mae", "vit", 256),
    ):
        compute = compute_on(device)
        rehearsal = Rehearsal.of(build(name, encoder), AdamWConfig(), compute, 2, 10)
        planned = rehearsal.needs(partial(batch_of, build(name, encoder), batch)).peak
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        learner = build(name, encoder)
        for module in learner.modules().values():
            compute.to_device(module.train())
        train(learner, AdamWConfig(), batch_of(learner, batch, compute.device), compute, (0, 1))
        ratio = planned / (torch.cuda.max_memory_allocated() - before)
        del learner
        yield Row(
            f"`plan`'s peak ÷ the allocator's: {name}, {encoder}, batch {batch}, within 10 %",
            f"{ratio:.3f} ({planned / 2**20:.0f} MiB planned)",
            abs(ratio - 1) <= 0.1,
        )


def no_step_waits(device: str, teacher: Path, pictures: ImageSet) -> Iterator[Row]:
    claim = "no step makes the host wait"
    if device != "cuda":
        yield Row(claim, "torch can tell on CUDA alone", None)
        return
    waiting = []
    for name in METHODS:
        try:
            steps(name, teacher, pictures, compute_on(device), may_wait=False)
        except RuntimeError as reason:
            waiting.append(f"{name}: {str(reason).splitlines()[0]}")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    yield Row(claim, "; ".join(waiting) or f"{len(METHODS)} methods", not waiting)


def half_precision_trains(device: str, teacher: Path, pictures: ImageSet) -> Iterator[Row]:
    whole = steps("simclr", teacher, pictures, compute_on(device))
    for precision in (Precision.bf16, Precision.fp16):
        claim = f"SimCLR's losses in {precision.value} are near those in float32"
        if precision is Precision.fp16 and device != "cuda":
            yield Row(claim, "fp16 needs CUDA", None)
            continue
        half = steps("simclr", teacher, pictures, compute_on(device, precision))
        gap = apart(half, whole)
        yield Row(claim, f"{gap:.1e} apart", gap < NEAR)


def sslcli(outputs: Path, device: str, *words: str) -> str:
    """Runs a command to its end; raises CalledProcessError, with what it said, where it fails."""
    where = [f"runtime.outputs={outputs}", f"runtime.device={device}"]
    typed = words if words[0] in ("rerun", "export") else [*words, *where]
    command = [sys.executable, "-m", "sslcli", *typed]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def last_words(said: str) -> str:
    """The end of a text, in a line: errors of two lines come last."""
    return " ".join(said.split())[-200:] or "it said nothing"


def runs(outputs: Path, command: str) -> list[Path]:
    found = [path.parent for path in (outputs / command).rglob("run.json")]
    return sorted(found, key=lambda run: (run / "run.json").stat().st_mtime)


def top1(outputs: Path) -> float:
    facts = json.loads((runs(outputs, "linear-eval")[-1] / "run.json").read_text())
    return 100 * float(facts["metrics"]["top1"])


def commands_work(device: str, outputs: Path) -> Iterator[Row]:
    short = ["data.limit=2000", "epochs=2"]
    sslcli(outputs, device, "pretrain", "runtime.precision=auto", *short)
    (run,) = runs(outputs, "pretrain")
    said = sslcli(outputs, device, "rerun", str(run))
    same = "identical" in said and "not identical" not in said
    yield Row("`rerun` of a run of SimCLR is identical", said.strip().splitlines()[-1][:80], same)
    found = {}
    for where in ("cpu", device):
        sslcli(outputs, where, "linear-eval", f"run={run}", "labels=0.1")
        found[where] = top1(outputs)
    gap = abs(found["cpu"] - found[device])
    yield Row(
        "the probe of one encoder, here and on the CPU", f"{gap:.2f} points apart", gap <= POINTS
    )
    for words in (
        ["finetune", f"run={run}", "labels=0.05", "training.epochs=1"],
        ["label-curve", f"run={run}", "labels=[10]", "subsets=2", "kinds=[linear_probe]"],
        ["inpaint", *short, "method.adversarial=true"],
        ["pretrain", "method=denoising_autoencoder", *short],
        ["pretrain", "runtime.compile=true", *short],
        ["export", str(run), "--to", "safetensors"],
    ):
        shown = " ".join(word for word in words if "/" not in word)
        try:
            sslcli(outputs, device, *words)
            yield Row(f"`sslcli {shown}` ends well", "yes", True)
        except subprocess.CalledProcessError as failure:
            yield Row(f"`sslcli {shown}` ends well", last_words(failure.stderr), False)


def a_resumed_run_is_the_same(device: str, outputs: Path) -> Iterator[Row]:
    """One that was killed and resumed, and one with other threads, beside one that nothing happened to."""
    words = [*RUNS["SimCLR"], f"runtime.device={device}"]
    process, whole = begun(words, outputs / "whole")
    if process.wait():
        yield Row("a short run of SimCLR ends well", f"exit status {process.returncode}", False)
        return
    run, when = killed(words, outputs / "killed", num_records(whole), random.Random(0))
    status = begin("resume", str(run)).wait()
    said = [f"exit status {status}"] if status else differences(run, whole)
    claim = f"killed ({when}) and resumed: records, metrics and encoder are the same"
    yield Row(claim, in_few_words(said), not said)
    process, other = begun([*words, "runtime.threads=2"], outputs / "threads")
    ended = process.wait()
    said = [f"exit status {ended}"] if ended else differences(other, whole)
    yield Row("the same run with 2 threads in place of 1 (it may differ)", in_few_words(said), None)


def speed(device: str) -> Iterator[Row]:
    compute = Compute.choose(RuntimeConfig(device=DeviceChoice(device), precision=Precision.auto))
    families = {name: FAMILIES[name] for name in ("simclr_convnet", "simclr_resnet18")}
    if device == "cuda":
        families = {
            name: replace(family, num_steps=5 * family.num_steps)
            for name, family in families.items()
        } | FOR_A_CARD
    for name, family in families.items():
        pairs = [(end_to_end(family, compute), bare(family, compute)) for _ in range(3)]
        ours, ratios = statistics.median(a for a, _ in pairs), [a / b for a, b in pairs]
        measured = f"{statistics.median(ratios):.2f} ({ours:.0f} images/s, {compute.precision})"
        yield Row(
            f"{name}: end to end ÷ bare step, at least 0.95",
            measured,
            statistics.median(ratios) >= 0.95,
        )


def several_devices(outputs: Path) -> Iterator[Row]:
    claim = "two processes, a device each, train"
    if torch.cuda.device_count() < 2:
        yield Row(claim, f"{torch.cuda.device_count()} CUDA devices", None)
        return
    words = ["pretrain", "data.limit=2000", "epochs=1", f"runtime.outputs={outputs / 'two'}"]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "-m",
        "sslcli",
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    yield Row(claim, f"exit status {done.returncode}", done.returncode == 0)


def checked(check: Callable[[], Iterator[Row]], name: str) -> Iterator[Row]:
    """The rows of a check; an exception is a row too, so that the others are still measured."""
    try:
        for row in check():
            print(f"{row.claim}: {row.measured}", file=sys.stderr, flush=True)
            yield row
    except Exception as reason:
        said = getattr(reason, "stderr", "") or str(reason)
        yield Row(name, f"{type(reason).__name__}: {last_words(said)}", False)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--checks", nargs="+", help="some of them: methods waits precision …")
    given = parser.parse_args()
    device = given.device
    register()
    pictures = FashionSampleConfig().load().train
    with tempfile.TemporaryDirectory() as temporary:
        teacher, outputs = Path(temporary) / "teacher", Path(temporary) / "outputs"
        teacher.mkdir()
        shape, small = shape_of(pictures), ConvNetConfig(width=4)
        write_encoder(
            teacher, build_initial(small, shape.channels, shape.resolution, 0), small, shape, 0
        )
        checks: dict[str, Callable[[], Iterator[Row]]] = {
            "methods": lambda: methods_equal_the_cpu(device, teacher, pictures),
            "waits": lambda: no_step_waits(device, teacher, pictures),
            "precision": lambda: half_precision_trains(device, teacher, pictures),
            "commands": lambda: commands_work(device, outputs),
            "resuming": lambda: a_resumed_run_is_the_same(device, outputs),
            "processes": lambda: several_devices(outputs),
            "speed": lambda: speed(device),
            "plans": lambda: plans_hold(device),
        }
        asked = given.checks or list(checks)
        if unknown := set(asked) - checks.keys():
            parser.error(f"--checks: {sorted(unknown)}: there are {', '.join(checks)}")
        rows = [row for name in asked for row in checked(checks[name], name)]
    compute = compute_on(device)
    print(f"sslcli {version('sslcli')}, torch {torch.__version__}, {compute.name}\n")
    print("| claim | measured | holds |\n|---|---|---|")
    for row in rows:
        holds = {True: "yes", False: "**no**", None: "not checked"}[row.holds]
        print(f"| {row.claim} | {row.measured} | {holds} |")
    return 0 if all(row.holds is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
