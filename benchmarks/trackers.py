"""What trackers cost a run: plain and tracked runs in turn, the same words otherwise.

    python -m benchmarks.trackers [--pairs 3] [--epochs 1] [--only real]

Three kinds: a tracker that blocks for ten minutes at its third record, fails at every call, or finds its disk full, all
three at once; and the real ones that are installed. Printed are the share of the processor seconds of the run's own
process that it spent on its trackers (in between, nothing in it has to do with them), the wall time of the training's
steps, tracked ÷ plain, and how long the end was held: from the last figure to the exit, of both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

FAULTY = """
import time
from sslcli.trackers.tracker import Tracker

class Blocks(Tracker):
    look = ""
    def __init__(self, run): pass
    def record(self, record):
        if record.index == 2:
            time.sleep(600)
    def figure(self, name, path, step): pass
    def table(self, name, columns, rows, step): pass
    def finish(self, status, metrics): pass

class Fails(Blocks):
    def record(self, record):
        raise ConnectionError("nobody answers")

class Full(Blocks):
    def record(self, record):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
"""
PROGRAM = """
import atexit, sys, time
from sslcli.cli.main import main
from sslcli.trackers import couriers

spent = [0.0]

def counted(work):
    def counting(*given):
        began = time.process_time()
        try:
            return work(*given)
        finally:
            spent.append(time.process_time() - began)
    return counting

couriers.start, couriers.end = counted(couriers.start), counted(couriers.end)
atexit.register(lambda: print(sum(spent), time.process_time()))
main(sys.argv[1:])
"""
"""Prints how long its own process computed for the trackers, and in all, without the processes that it started."""
REAL = ("tensorboard", "mlflow", "wandb", "trackio")


class Took(NamedTuple):
    share: float
    steps: float
    held: float
    records: list[str]


def install(folder: Path) -> None:
    (folder / "faulty.py").write_text(FAULTY)
    about = folder / "faulty-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    points = "blocks = faulty:Blocks\nfails = faulty:Fails\nfull = faulty:Full\n"
    (about / "entry_points.txt").write_text(f"[sslcli.trackers]\n{points}")


def measured(outputs: Path, site: Path, epochs: int, trackers: list[str]) -> Took:
    words = [f"epochs={epochs}", "knn_every=0", "log_every=1", "runtime.threads=1"]
    words += [f"runtime.outputs={outputs}", f"runtime.trackers=[{','.join(trackers)}]"]
    command = [sys.executable, "-c", PROGRAM, "pretrain", *words]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    ended, (spent, processor) = time.time(), map(float, done.stdout.split()[-2:])
    run = max(outputs.rglob("run.json"), key=lambda path: path.stat().st_mtime).parent
    facts = json.loads((run / "run.json").read_text())
    drawn = max(path.stat().st_mtime for path in run.glob("figures/*.png"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    records = [json.dumps({**line, "timing": None}) for line in lines]
    steps = facts["trained"]["pretrain"]["seconds"]
    return Took(spent / processor, steps, ended - drawn, records)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--only", choices=["faulty", "real"])
    given = parser.parse_args()
    kinds = {
        "faulty": ["blocks", "fails", "full"],
        "real": [name for name in REAL if find_spec(name) is not None],
    }
    with tempfile.TemporaryDirectory() as name:
        site = Path(name) / "site"
        site.mkdir()
        install(site)
        for kind in [given.only] if given.only else kinds:
            compare(Path(name) / kind, site, given.pairs, given.epochs, kinds[kind])


def compare(outputs: Path, site: Path, pairs: int, epochs: int, trackers: list[str]) -> None:
    """Runs the pairs, the tracked run first in every second one, and prints the ratios."""
    shares, steps, held = [], [], []
    for number in range(pairs):
        order = [[], trackers] if number % 2 == 0 else [trackers, []]
        took = {
            bool(names): measured(outputs / str(bool(names)), site, epochs, names)
            for names in order
        }
        plain, tracked = took[False], took[True]
        assert plain.records == tracked.records, "a tracker has changed what was recorded"
        shares.append(tracked.share)
        steps.append(tracked.steps / plain.steps)
        held.append((tracked.held, plain.held))
        print(f"  {shares[-1]:.4%} {steps[-1]:.4f} {held[-1]}", flush=True)
    print(
        f"{'+'.join(trackers)}: spent on trackers {statistics.median(shares):.3%} "
        f"({min(shares):.3%} to {max(shares):.3%}), wall of the steps "
        f"{statistics.median(steps):.4f} ({min(steps):.4f} to {max(steps):.4f}), end held "
        f"{statistics.median(each[0] for each in held):.1f} s, plain "
        f"{statistics.median(each[1] for each in held):.1f} s"
    )


if __name__ == "__main__":
    main()
