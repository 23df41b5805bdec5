"""Kills runs with SIGKILL at random moments, resumes them, and compares records and weights with an uninterrupted run's.

python -m benchmarks.resuming [--kills 5] [key=value of sslcli pretrain ...]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = ["data.limit=1024", "epochs=6", "encoder.width=8", "log_every=1", "save_every=0.5", "knn_every=2"]


def records(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "timing"} for line in lines]


def begin(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sslcli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def only_run(folder: Path) -> Path:
    (found,) = (path.parent for path in folder.rglob("run.json"))
    return found


def killed_and_resumed(words: list[str], outputs: Path, seconds: float) -> Path:
    """Begins a run, kills it at a random moment of its training's `seconds`, resumes it to the end."""
    process = begin("pretrain", *words, f"runtime.outputs={outputs}")
    while not list(outputs.rglob("pretrain/*/*/metrics.jsonl")) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.uniform(0, seconds))
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = only_run(outputs)
    if json.loads((run / "run.json").read_text())["status"] != "finished":
        assert begin("resume", str(run)).wait() == 0
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    given, words = parser.parse_known_args()
    words = [*WORDS, *words]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        assert begin("pretrain", *words, f"runtime.outputs={whole}").wait() == 0
        expected = only_run(whole)
        speed = json.loads((expected / "run.json").read_text())
        seconds = speed["derived"]["num_steps"] * 256 / speed["images_per_second"]
        same = 0
        for number in range(given.kills):
            run = killed_and_resumed(words, Path(folder) / str(number), seconds)
            weights = [(one / "encoder.safetensors").read_bytes() for one in (run, expected)]
            same += records(run) == records(expected) and weights[0] == weights[1]
    print(f"kill -9 at a random moment, resume: byte-identical records and weights in {same} of {given.kills}")


if __name__ == "__main__":
    main()
