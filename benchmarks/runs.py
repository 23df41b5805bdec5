"""Seconds that `sslcli runs` takes on 2,000 run folders, start-up included.

    python -m benchmarks.runs [--runs 2000]

They are copies of a tiny run, each begun at another moment; a tenth say `running` and died, half have another temperature.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
WORDS = [
    "data.limit=64",
    "batch_size=16",
    "epochs=2",
    "encoder.width=4",
    "log_every=2",
    "runtime.threads=1",
]
COPIED = ("config.yaml", "overrides.yaml", "metrics.jsonl", "log.txt", ".lock")
ASKED = (
    [],
    ["status=died", "--sort", "-knn_accuracy"],
    ["--json"],
    ["--csv"],
    ["status=died", "method.temperature=0.3"],
    ["method.temperature=0.3"],
)


def make_runs(outputs: Path, number: int) -> None:
    """In a hundred folders, without weights."""
    words = [*WORDS, "method=simclr", "method.temperature=0.2", f"runtime.outputs={outputs}"]
    subprocess.run(
        [sys.executable, "-m", "sslcli", "pretrain", *words], check=True, capture_output=True
    )
    (run,) = (path.parent for path in outputs.rglob("run.json"))
    facts = json.loads((run / "run.json").read_text())
    texts = {name: (run / name).read_text() for name in COPIED}
    assert "temperature: 0.2" in texts["config.yaml"]
    for index in range(number - 1):
        folder = outputs / f"pretrain/simclr-fashion_sample/{index % 100}/run-{index:04d}"
        (folder / "figures").mkdir(parents=True)
        for name, text in texts.items():
            (folder / name).write_text(
                text.replace("temperature: 0.2", "temperature: 0.3") if index % 2 else text
            )
        status = "running" if index % 10 == 9 else "finished"
        (folder / "run.json").write_text(
            json.dumps({**facts, "status": status, "started": 1.7e9 + index}, indent=2)
        )


def seconds(*words: str) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "sslcli", "runs", *words], check=True, stdout=subprocess.DEVNULL
        )
        took.append(time.perf_counter() - began)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), given.runs)
        print(f"sslcli runs on {given.runs} run folders, the best of {ROUNDS}, start-up included")
        for words in ASKED:
            print(f"  {seconds(folder, *words):.2f} s  {' '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
