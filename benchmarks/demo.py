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
from typing import Any


def sslcli(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "sslcli", *words], check=True, stdout=subprocess.DEVNULL)


def results(outputs: Path) -> list[dict[str, Any]]:
    paths = sorted(outputs.rglob("results.json"), key=lambda path: path.stat().st_mtime)
    return [json.loads(path.read_text())["results"] for path in paths]


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
    for name in all_labels:
        mean = statistics.mean(result[name]["top1"] for result in few)
        print(
            f"{name.replace('_', ' '):<20}{100 * all_labels[name]['top1']:>10.2f} %{100 * mean:>10.2f} %"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
