"""`make bench`: every benchmark, one after another, each a process and a command of its own (python -m benchmarks.<name>).

Where lightly is installed, those of `AGAINST_LIGHTLY` run too, and `make bench AGAINST=lightly`
(python -m benchmarks --against lightly) compares the throughput with it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks import lightly_loop

NAMES = (
    "demo",
    "throughput",
    "views",
    "resuming",
    "sweep",
    "runs",
    "run_folder",
    "report",
    "watching",
    "probe",
    "layer",
    "plugins",
    "trackers",
    "autoencoders",
    "codes",
    "edits",
    "large_batch",
    "plan",
    "processes",
    "folder",
    "table_rows",
    "near_duplicates",
    "shards",
)
AGAINST_LIGHTLY = ("losses", "methods")

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--against", type=lightly_loop.peer)
parser.parse_args()
for name in (*NAMES, *AGAINST_LIGHTLY) if lightly_loop.INSTALLED else NAMES:
    print(f"\n== {name}", flush=True)
    words = sys.argv[1:] if name == "throughput" else []
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *words], check=True)
