"""Measures a default run alone, beside busy cores, beside itself, and, where it is installed, lightly's loop.

    python -m benchmarks.neighbours [--seconds 20] [--rounds 3]

Every figure is the median of images/s over the records of a run that is stopped after so many seconds;
a neighbour is `python -c "while True: pass"`. Quiet and busy runs alternate. At last a run is killed and resumed,
beside a busy core and alone, and its weights are compared with those of a run that never stopped.
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

from benchmarks import lightly_loop

FEWEST = 4
"""Records before the seconds are counted."""
BUSY = [sys.executable, "-c", "while True: pass"]
RUN = [sys.executable, "-m", "sslcli", "pretrain", "knn_every=0", "log_every=5"]


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


def speeds(runs: list[list[str]], seconds: float, apart: float = 0.0) -> list[float]:
    """Images/s of runs that train at the same time, each begun `apart` seconds after the one before."""
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / str(index) for index in range(len(runs))]
        processes = []
        for words, folder in zip(runs, folders, strict=True):
            time.sleep(apart if processes else 0.0)
            processes.append(
                subprocess.Popen(
                    [*RUN, "epochs=1000", *words, f"runtime.outputs={folder}"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        while not all(len(recorded(folder)) >= FEWEST for folder in folders):
            time.sleep(0.1)
        before = [len(recorded(folder)) for folder in folders]
        time.sleep(seconds)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()
        together = zip(folders, before, strict=True)
        return [
            statistics.median(recorded(folder)[number:] or recorded(folder)[-1:])
            for folder, number in together
        ]


def recorded(folder: Path) -> list[float]:
    """Images/s of every record of training, the first apart, which sets up more than it trains."""
    lines = [line for path in folder.rglob("metrics.jsonl") for line in path.open()]
    found = [json.loads(line)["timing"].get("images_per_second") for line in lines if "}" in line]
    return [speed for speed in found[1:] if speed]


LIGHTLY = """
from benchmarks.lightly_loop import images_per_second
from benchmarks.lightly_methods import SimCLR
from benchmarks.throughput import pictures
from sslcli.nets.encoder_config import ConvNetConfig
print(images_per_second(SimCLR(ConvNetConfig()), pictures().images[:], 128, 20, True, 0))
"""


def lightlys_speed() -> float:
    """Images/s of lightly's loop: the same encoder and batch, bf16, no workers."""
    return float(
        subprocess.run([sys.executable, "-c", LIGHTLY], check=True, capture_output=True).stdout
    )


def weights(folder: Path, busy: int, kill: bool) -> bytes:
    """The encoder's file after a short run beside busy cores; killed and resumed if `kill`."""
    words = [*RUN, "epochs=2", "save_every=0.2", "runtime.threads=2", f"runtime.outputs={folder}"]
    with neighbours(busy), subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        if kill:
            while not list(folder.rglob("last.pt")):
                time.sleep(0.05)
            process.kill()
            (run,) = (path.parent for path in folder.rglob("config.yaml"))
            resume = [sys.executable, "-m", "sslcli", "resume", str(run)]
            subprocess.run(resume, check=True, stdout=subprocess.DEVNULL)
    (encoder,) = folder.rglob("encoder.safetensors")
    return encoder.read_bytes()


def compare_weights() -> None:
    with tempfile.TemporaryDirectory() as place:
        whole = weights(Path(place) / "whole", 0, kill=False)
        for busy in (0, 1):
            resumed = weights(Path(place) / str(busy), busy, kill=True)
            same = "equal" if resumed == whole else "DIFFERENT"
            print(f"killed and resumed beside {busy} busy cores: weights {same}")


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
        later = sum(speeds([[], []], given.seconds, apart=15.0))
        rows.setdefault("two runs, one 15 s later, their sum", []).append(later)
        for busy in (0, 1) if lightly_loop.INSTALLED else ():
            with neighbours(busy):
                rows.setdefault(f"lightly's loop, {busy} busy cores", []).append(lightlys_speed())
    alone = statistics.median(rows["alone"])
    for name, found in rows.items():
        ratio = statistics.median(found) / alone
        each = ", ".join(f"{value:.0f}" for value in found)
        print(
            f"{name:<40} {statistics.median(found):8.0f} images/s   {ratio:5.2f} of alone   ({each})"
        )
    compare_weights()


if __name__ == "__main__":
    measure()
