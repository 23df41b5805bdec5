"""A training step of two processes over a slow link, with and without sending during the backward pass.

    python -m benchmarks.overlap [--mbit 1000] [--batch 64] [--rounds 8]

It must be run by root: two network namespaces are made for the two processes, joined by a pair of virtual devices, and
both ends are throttled. By hand these are the commands, with `LINK` of this file as the burst and queue:

    ip netns add sslcli0; ip netns add sslcli1
    ip link add sslcli0 type veth peer name sslcli1
    ip link set sslcli0 netns sslcli0; ip -n sslcli0 addr add 10.77.0.1/24 dev sslcli0; ip -n sslcli0 link set sslcli0 up
    ip -n sslcli0 link set lo up
    tc -n sslcli0 qdisc add dev sslcli0 root tbf rate 1000mbit burst 256kb latency 50ms    # the same for sslcli1, 10.77.0.2
    ip netns exec sslcli0 env RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 \\
        GLOO_SOCKET_IFNAME=sslcli0 OMP_NUM_THREADS=1 python -m benchmarks.overlap --member

The step is SimCLR's on a ResNet-18, `--batch` pictures of 32 pixels a process, one thread each, float32. The ways take turns
step by step, so that what else the machine does meets all alike:

    alone     no gradients are sent (each process goes its own way)
    after     all gradients in one piece when the backward pass has ended: what sslcli did before torch's engine
    during    sslcli's: torch's DistributedDataParallel, in buckets
    shard     sslcli's with runtime.parallel=shard: torch's fully_shard
    send      the gradients alone, nothing computed: what there is to hide

It also says what a process holds between two steps: weights, their gradients, and the momentum.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor
from torch.utils._pytree import tree_leaves

from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.replicas import Replicas
from sslcli.engine.shards import Shards
from sslcli.generators import seed_generators
from sslcli.method import Preprocessing, Progress
from sslcli.methods.simclr import SimCLR, SimCLRConfig
from sslcli.nets.encoder_config import ResNet18Config
from sslcli.processes import join, leave, rank

LINK = "burst 256kb latency 50ms"
SIDE = 32
ENDS = ("sslcli0", "sslcli1")
PREPROCESSING = Preprocessing(3, SIDE, (0.5,) * 3, (0.25,) * 3)


class Alone(Replicas):
    """Sends nothing."""

    def backward(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> None:
        loss.backward(inputs=inputs)  # type: ignore[no-untyped-call]


class After(Replicas):
    """Sends all gradients, in one piece, when the backward pass has ended."""

    def backward(self, loss: Tensor, inputs: Sequence[nn.Parameter]) -> None:
        loss.backward(inputs=inputs)  # type: ignore[no-untyped-call]
        gradients = [one.grad for one in inputs if one.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= 2
        pieces = flat.split([gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, pieces, strict=True):
            gradient.copy_(mean.view_as(gradient))


def steps(batch: int) -> tuple[dict[str, Callable[[int], None]], dict[str, Callable[[], int]]]:
    """The ways to take a step, each with a learner of its own; and the bytes that two of them hold."""
    compute = Compute(torch.device("cpu"), None)
    images = np.random.default_rng(0).integers(0, 256, (8 * batch, SIDE, SIDE, 3), dtype=np.uint8)
    pictures = Batches(ImageSet(images), 2 * batch, 0, "cpu")
    learners = {name: built(compute) for name in ("alone", "after", "during", "shard")}
    shards = Shards(learners["shard"])
    learners["shard"] = shards.learner  # type: ignore[assignment]
    engines = {"alone": Alone(), "after": After(), "during": Replicas(), "shard": shards}
    ways: dict[str, Callable[[int], None]] = {}
    held: dict[str, Callable[[], int]] = {}
    for name, learner in learners.items():
        minimize = Minimizer.of(
            learner, SGDConfig(lr=0.01), compute, lambda step: 0.01, replicas=engines[name]
        )
        ways[name] = partial(take, learner, minimize, pictures)
        held[name] = partial(bytes_held, learner, minimize)
    flat = torch.zeros(sum(p.numel() for p in learners["during"].encoder.parameters()))
    ways["send"] = lambda step: distributed.all_reduce(flat)
    return ways, {name: held[name] for name in ("during", "shard")}


def built(compute: Compute) -> SimCLR:
    seed_generators(0)
    learner = SimCLRConfig().build(ResNet18Config().build(3, SIDE), PREPROCESSING)
    for module in learner.modules().values():
        compute.to_device(module)
    return learner


def bytes_held(learner: SimCLR, minimize: Minimizer) -> int:
    weights = list(nn.ModuleDict(learner.modules()).parameters())
    state = tree_leaves(minimize.state()["optimizers"])
    tensors = [*weights, *(weight.grad for weight in weights), *state]
    own = [one.to_local() if isinstance(one, DTensor) else one for one in tensors]
    return sum(one.numel() * one.element_size() for one in own if isinstance(one, Tensor))


def take(learner: SimCLR, minimize: Minimizer, pictures: Batches, step: int) -> None:
    seed_generators(step)
    minimize.begin(step)
    learner.train_step(learner.views(pictures.at(step)), minimize, Progress(step, step + 1))
    minimize.end()


def member(batch: int, rounds: int) -> None:
    """What each of the two processes does; the first prints."""
    torch.set_num_threads(1)
    join("cpu")
    ways, held = steps(batch)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for step in range(rounds + 2):
        for name, take_step in ways.items():
            distributed.barrier()
            began = time.perf_counter()
            take_step(step)
            distributed.barrier()  # the slower of the two counts
            seconds[name].append(time.perf_counter() - began)
    if rank() == 0:
        tell({name: found[2:] for name, found in seconds.items()}, batch)
        sizes = {name: round(size() / 2**20) for name, size in held.items()}
        print(f"held by the first process between two steps, MiB: {sizes}", flush=True)
    leave()


def tell(seconds: dict[str, list[float]], batch: int) -> None:
    for name, found in seconds.items():
        middle = statistics.median(found)
        print(f"  {name:<8} {middle:.3f} s ({min(found):.3f} to {max(found):.3f})")
    for name, other in (("during", "after"), ("shard", "during")):
        ratios = [b / a for a, b in zip(seconds[other], seconds[name], strict=True)]
        print(
            f"batch {batch} a process, {len(ratios)} rounds, {name} ÷ {other}: "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def lay(mbit: int) -> None:
    """Makes the two namespaces and the throttled link between them."""
    for end in ENDS:
        run("ip", "netns", "add", end)
    run("ip", "link", "add", ENDS[0], "type", "veth", "peer", "name", ENDS[1])
    for number, end in enumerate(ENDS, 1):
        run("ip", "link", "set", end, "netns", end)
        run("ip", "-n", end, "addr", "add", f"10.77.0.{number}/24", "dev", end)
        run("ip", "-n", end, "link", "set", end, "up")
        run("ip", "-n", end, "link", "set", "lo", "up")
        rate = f"tbf rate {mbit}mbit {LINK}"
        run("tc", "-n", end, "qdisc", "add", "dev", end, "root", *rate.split())


def remove() -> None:
    """Removes the namespaces, and the link with them."""
    for end in ENDS:
        subprocess.run(["ip", "netns", "del", end], check=False)


def start(number: int, words: list[str]) -> subprocess.Popen[bytes]:
    told = {
        "RANK": str(number), "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29500",
        "GLOO_SOCKET_IFNAME": ENDS[number], "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    }  # fmt: skip
    command = [
        "ip", "netns", "exec", ENDS[number], sys.executable, "-m", "benchmarks.overlap", "--member", *words,
    ]  # fmt: skip
    return subprocess.Popen(command, env={**os.environ, **told})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mbit", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--member", action="store_true", help="be one of the two processes")
    given = parser.parse_args()
    if given.member:
        member(given.batch, given.rounds)
        return
    words = ["--batch", str(given.batch), "--rounds", str(given.rounds)]
    lay(given.mbit)
    try:
        members = [start(number, words) for number in range(2)]
        for one in members:
            assert one.wait() == 0, "a process failed; its own message tells why"
    finally:
        remove()


if __name__ == "__main__":
    main()
