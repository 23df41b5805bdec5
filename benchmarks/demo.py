"""What `make demo` reaches, and the same encoder with 10 labels a class: the mean of 5 subsets.

python -m benchmarks.demo [key=value of sslcli pretrain ...]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from sslcli.runs.results import Results, numbers, percentage, read_results


def sslcli(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "sslcli", *words], check=True, stdout=subprocess.DEVNULL)


def results(outputs: Path) -> list[Results]:
    paths = sorted(outputs.rglob("results.json"), key=lambda path: path.stat().st_mtime)
    return [read_results(path.parent) for path in paths]


def main(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outputs = f"runtime.outputs={folder}"
        sslcli("pretrain", "method=simclr", outputs, *words)
        sslcli("linear-eval", "run=last", outputs)
        for seed in range(5):
            sslcli("linear-eval", "run=last", "labels=10", f"seed={seed}", outputs)
        (facts,) = (
            json.loads(path.read_text()) for path in Path(folder).glob("pretrain/*/*/run.json")
        )
        all_labels, *few = results(Path(folder))
    print(f"pretraining: {facts['seconds']:.0f} s, {facts['images_per_second']:.0f} images/s")
    print(f"{'':<20}{'all labels':>12}{'10 a class':>12}")
    for row in all_labels.rows:
        mean = statistics.mean(numbers(result.row(row.name).scores)["top1"] for result in few)
        name = row.name.replace("_", " ")
        print(f"{name:<20}{percentage(row.scores['top1']):>12}{percentage(mean):>12}")


if __name__ == "__main__":
    main(sys.argv[1:])
