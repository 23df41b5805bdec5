"""Counts the parallel regions of a step of the default run, and how long its first thread waits for the others.

    python -m benchmarks.regions [--steps 30] [--rounds 3]

A shim over libgomp's GOMP_parallel (compiled with gcc, loaded by LD_PRELOAD) counts the regions that the training
thread opens, and the time from the end of its own share to the end of the region. For 1 and 2 threads, beside 0, 1 and 2
busy cores (`python -c "while True: pass"`), and beside the same steps in 1 and 3 other processes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.neighbours import neighbours

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>
typedef void work(void *);
typedef void parallel(work *, void *, unsigned, unsigned);
struct share { work *work; void *data; pthread_t first; double ended; };
static __thread long regions;
static __thread double waited;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
static void run(void *pointer) {
    struct share *share = pointer;
    share->work(share->data);
    if (pthread_equal(pthread_self(), share->first)) share->ended = now();
}
void GOMP_parallel(work *work, void *data, unsigned threads, unsigned flags) {
    static parallel *real;
    if (!real) real = (parallel *)dlsym(RTLD_NEXT, "GOMP_parallel");
    struct share share = {work, data, pthread_self(), 0};
    real(run, &share, threads, flags);
    regions++;
    waited += now() - share.ended;
}
long counted_regions(void) { return regions; }
double seconds_waited(void) { return waited; }
"""
PARTS = ("views", "forward, backward and update")


def compiled(folder: Path) -> Path:
    source, shim = folder / "regions.c", folder / "regions.so"
    source.write_text(SHIM)
    subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl", "-lpthread"], check=True
    )
    return shim


def steps(threads: int, num_steps: int, shim: str) -> None:
    """Prints, as JSON, milliseconds, regions and milliseconds waited in each part of a step: medians."""
    import torch

    from benchmarks.throughput import FAMILIES, pictures, ready
    from sslcli.data.batches import Batches
    from sslcli.engine.device import Compute
    from sslcli.engine.runtime_config import RuntimeConfig
    from sslcli.method import Progress

    counter = ctypes.CDLL(shim)
    counter.counted_regions.restype = ctypes.c_long
    counter.seconds_waited.restype = ctypes.c_double
    compute = Compute.choose(RuntimeConfig(threads=threads))
    family = FAMILIES["simclr_convnet"]
    learner, minimize = ready(family, compute)
    torch.nn.ModuleDict(learner.modules()).train()
    batches = Batches(pictures(), family.batch_size, 0, compute.device)
    found: dict[str, list[tuple[float, float, float]]] = {part: [] for part in PARTS}

    def measured(part: str, work: Callable[[], object]) -> object:
        before = (time.perf_counter(), counter.counted_regions(), counter.seconds_waited())
        result = work()
        after = (time.perf_counter(), counter.counted_regions(), counter.seconds_waited())
        milliseconds, regions, waited = (b - a for a, b in zip(before, after, strict=True))
        found[part].append((milliseconds * 1000, regions, waited * 1000))
        return result

    for step in range(num_steps):
        minimize.begin(step)
        views = measured(PARTS[0], lambda step=step: learner.views(batches.at(step)))
        measured(
            PARTS[1],
            lambda views=views, step=step: learner.train_step(
                views, minimize, Progress(step, num_steps)
            ),
        )
        minimize.end()
    medians = {
        part: [statistics.median(c) for c in zip(*rows[3:], strict=True)]
        for part, rows in found.items()
    }
    print(json.dumps(medians))


def start(shim: Path, threads: int, num_steps: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.regions", "--worker", str(shim)]
    command += ["--threads", str(threads), "--steps", str(num_steps)]
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def measure(num_steps: int, rounds: int) -> None:
    cases = [
        ("alone", 0, 0),
        ("1 busy core", 1, 0),
        ("2 busy cores", 2, 0),
        ("1 other run", 0, 1),
        ("3 other runs", 0, 3),
    ]
    print(
        f"{'beside':<14} threads  {'views: ms':>10} {'regions':>8} {'waited':>7}   {'rest: ms':>9} {'regions':>8} {'waited':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        shim = compiled(Path(folder))
        for threads in (1, 2):
            for name, busy, others in cases:
                rows = [round_of(shim, threads, num_steps, busy, others) for _ in range(rounds)]
                views, rest = (
                    [statistics.median(c) for c in zip(*(row[part] for row in rows), strict=True)]
                    for part in PARTS
                )
                print(
                    f"{name:<14} {threads:>7}  {views[0]:>10.1f} {views[1]:>8.0f} {views[2]:>7.1f}   {rest[0]:>9.1f} {rest[1]:>8.0f} {rest[2]:>7.1f}",
                    flush=True,
                )


def round_of(
    shim: Path, threads: int, num_steps: int, busy: int, others: int
) -> dict[str, list[float]]:
    """One process's numbers; the others take as many steps again, so that they outlast it."""
    with neighbours(busy):
        beside = [start(shim, threads, 20 * num_steps) for _ in range(others)]
        try:
            output, _ = start(shim, threads, num_steps).communicate()
        finally:
            for process in beside:
                process.kill()
                process.communicate()
    found: dict[str, list[float]] = json.loads(output)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)
    if given.worker:
        steps(given.threads, given.steps, given.worker)
    else:
        measure(given.steps, given.rounds)


if __name__ == "__main__":
    main()
