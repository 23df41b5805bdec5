"""One run by several processes beside the same run by one: its losses, and images a second.

    python -m benchmarks.processes [--num 2 4] [--rounds 3]

Losses: 20 steps of SimCLR in float32, without batch statistics, by 1 process and by each --num of them: how far they are apart,
at two learning rates; and how far two threads take one process, which add in another order: training itself makes more of a
last digit with every step, the faster it learns.
Images a second: SimCLR on the embedded sample, 256 pictures a step together. Two processes of one thread have the same two
cores as one process of two: what the first lose to the second is what exchanging features and gradients costs, and more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SAME = ["data.limit=1280", "batch_size=64", "epochs=1", "log_every=1", "runtime.precision=fp32"]
NO_STATISTICS = ["encoder.norm=group", "method.projector.batch_norm=false"]
LEARNING_RATES = (0.001, 0.05)
FAST = ["data.limit=5120", "batch_size=256", "epochs=2", "log_every=20"]


def run_by(num: int, threads: int, words: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The records and facts of a run by `num` processes of so many threads each."""
    together = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num}"]
        if num > 1
        else []
    )
    settings = [*words, "knn_every=0", f"runtime.threads={threads}"]
    with tempfile.TemporaryDirectory() as made:
        command = [
            sys.executable,
            *together,
            "-m",
            "sslcli",
            "pretrain",
            *settings,
            f"runtime.outputs={made}",
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (facts,) = Path(made).rglob("run.json")
        records = [
            json.loads(line) for line in (facts.parent / "metrics.jsonl").read_text().splitlines()
        ]
        return records, json.loads(facts.read_text())


def losses(num: int, threads: int, learning_rate: float) -> list[float]:
    records, _ = run_by(num, threads, [*SAME, *NO_STATISTICS, f"optim.lr={learning_rate}"])
    return [record["loss"] for record in records if "loss" in record]


def compare(num: list[int]) -> None:
    for rate in LEARNING_RATES:
        alone = losses(1, 1, rate)
        for name, way in {
            "1 process of 2 threads": (1, 2),
            **{f"{n} processes": (n, 1) for n in num},
        }.items():
            apart = [
                abs(found - one) / one for found, one in zip(losses(*way, rate), alone, strict=True)
            ]
            print(
                f"learning rate {rate}, {name} beside 1: the losses of {len(apart)} steps are {max(apart):.1e} apart at most",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    compare(given.num)
    ways = {
        "1 process, 1 thread": (1, 1),
        "1 process, 2 threads": (1, 2),
        "2 processes, 1 thread each": (2, 1),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, (num, threads) in ways.items():
            speeds[name].append(run_by(num, threads, FAST)[1]["images_per_second"])
    first = statistics.median(speeds["1 process, 1 thread"])
    for name, found in speeds.items():
        middle, spread = statistics.median(found), f"({min(found):.0f} to {max(found):.0f})"
        print(
            f"  {name:<28} {middle:6.0f} images/s {spread:<16} {middle / first:.2f} times the first"
        )


if __name__ == "__main__":
    main()
