"""Measures a default run alone, beside busy cores, beside itself, and, where it is installed, lightly's loop.

python -m benchmarks.neighbours [--seconds 20] [--rounds 3]

Every figure is the median of images/s over the records of a run that is stopped after so many seconds;
a neighbour is `python -c "while True: pass"`. Quiet and busy runs alternate.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FEWEST = 4
"""Records before the seconds are counted."""
BUSY = [sys.executable, "-c", "while True: pass"]
RUN = [sys.executable, "-m", "sslcli", "pretrain", "epochs=1000", "knn_every=0", "log_every=5"]


@contextmanager
def neighbours(number: int) -> Iterator[None]:
    started = [subprocess.Popen(BUSY) for _ in range(number)]
    time.sleep(1.0)
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def speeds(runs: list[list[str]], seconds: float) -> list[float]:
    """Images/s of runs that train at the same time."""
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / str(index) for index in range(len(runs))]
        processes = [
            subprocess.Popen(
                [*RUN, *words, f"runtime.outputs={folder}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for words, folder in zip(runs, folders, strict=True)
        ]
        while not all(len(recorded(folder)) >= FEWEST for folder in folders):
            time.sleep(0.1)
        time.sleep(seconds)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()
        return [median_speed(folder) for folder in folders]


def recorded(folder: Path) -> list[float]:
    """Images/s of every record of training, the first apart, which sets up more than it trains."""
    lines = [line for path in folder.rglob("metrics.jsonl") for line in path.open()]
    found = [json.loads(line)["timing"].get("images_per_second") for line in lines if "}" in line]
    return [speed for speed in found[1:] if speed]


def median_speed(folder: Path) -> float:
    return statistics.median(recorded(folder))


def measure() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)
    usual = os.cpu_count() or 1
    rows: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        for name, busy, runs in (
            ("alone", 0, [[]]),
            (f"alone, runtime.threads={usual}", 0, [[f"runtime.threads={usual}"]]),
            ("beside one busy core", 1, [[]]),
            (f"beside one busy core, threads={usual}", 1, [[f"runtime.threads={usual}"]]),
            ("beside two busy cores", 2, [[]]),
            ("two runs at once, their sum", 0, [[], []]),
        ):
            with neighbours(busy):
                rows.setdefault(name, []).append(sum(speeds(runs, given.seconds)))
    alone = statistics.median(rows["alone"])
    for name, found in rows.items():
        ratio = statistics.median(found) / alone
        each = ", ".join(f"{value:.0f}" for value in found)
        print(
            f"{name:<40} {statistics.median(found):8.0f} images/s   {ratio:5.2f} of alone   ({each})"
        )


if __name__ == "__main__":
    measure()
