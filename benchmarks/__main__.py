"""`make bench`: every benchmark, one after another, each a process and a command of its own (python -m benchmarks.<name>)."""

from __future__ import annotations

import subprocess
import sys

for name in (
    "demo",
    "throughput",
    "views",
    "resuming",
    "sweep",
    "runs",
    "run_folder",
    "report",
    "probe",
    "layer",
    "autoencoders",
    "large_batch",
    "folder",
):
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
