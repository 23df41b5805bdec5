"""A sweep of 12 tiny jobs, one of which fails and one is killed with SIGKILL: what is left, and what its second call runs.

python -m benchmarks.sweep [key=value of sslcli pretrain ...]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = ["data.limit=64", "epochs=6", "encoder.width=4", "log_every=1", "runtime.threads=1"]
SWEPT = "batch_size=4,6,8,10,12,14,16,18,20,22,24,1000"
"""With 64 pictures the last one fails, in its own process."""
KILLED = "005"


def sweep(outputs: Path, words: list[str], kill: bool = False) -> str:
    """What the sweep said of jobs that did not finish."""
    command = [
        sys.executable,
        "-m",
        "sslcli",
        "pretrain",
        "-m",
        *WORDS,
        SWEPT,
        *words,
        f"runtime.outputs={outputs}",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        if kill:
            while not any(
                path.stat().st_size for path in outputs.rglob(f"{KILLED}-*/metrics.jsonl")
            ):
                time.sleep(0.02)
            (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(child), signal.SIGKILL)
        _, err = process.communicate()
    return "\n".join(line for line in err.splitlines() if line.startswith(("warning:", "error:")))


def jobs(outputs: Path) -> dict[str, tuple[str, int]]:
    """Of every job its status, and when its run.json was last written."""
    found = sorted(outputs.rglob("run.json"))
    return {
        p.parent.name[:3]: (str(json.loads(p.read_text())["status"]), p.stat().st_mtime_ns)
        for p in found
    }


def main() -> None:
    words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        began = time.monotonic()
        print(sweep(outputs, words, kill=True))
        first = jobs(outputs)
        print(
            f"first call: {sum(status == 'finished' for status, _ in first.values())} of {len(first)} finished"
        )
        print(sweep(outputs, words))
        second = jobs(outputs)
        again = [name for name in second if second[name][1] != first[name][1]]
        print(
            f"second call: ran {', '.join(again)}; {sum(s == 'finished' for s, _ in second.values())} finished"
        )
        print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
