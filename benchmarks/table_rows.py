"""What a table's rows cost in memory: the peak of a training on a million, less that of one on a hundred.

    python -m benchmarks.table_rows [--rows 1000000]

The table names tiny pictures by a path each, with a label, a group and a part: 4,000 files, in as many linked folders as make
the rows. `sslcli pretrain data=table data.cache=none` reads every row's file once (the second start does not), trains some
steps of a convnet, and is stopped as Ctrl-C stops it. Peaks are of the whole process, as the system counts them.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

FILES = 4_000
STEPS = 20
WORDS = (
    "data.cache=none", "data.resolution=16", "encoder=convnet", "batch_size=64", "knn_every=0", "runtime.threads=1",
    "runtime.device=cpu", "epochs=30", f"log_every={STEPS}",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_pictures(folder, rows)
        few, many = write_table(folder, "few", 100), write_table(folder, "many", rows)
        base = trained(few, folder)
        print(f"100 rows: peak {base.peak:.0f} MB, while training {base.held:.0f} MB", flush=True)
        for start in ("first start", "second start"):
            found = trained(many, folder)
            print(
                f"{rows:,} rows, {start}: {found.seconds:.0f} s to {STEPS} steps; above 100 rows: "
                f"peak {found.peak - base.peak:.0f} MB, while training {found.held - base.held:.0f} MB",
                flush=True,
            )


def make_pictures(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    real = folder / "pictures" / "0000"
    real.mkdir(parents=True)
    for number in range(min(FILES, rows)):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(real / f"{number:04}.png")
    for number in range(1, -(-rows // FILES)):
        (folder / "pictures" / f"{number:04}").symlink_to(real, target_is_directory=True)


def write_table(folder: Path, name: str, rows: int) -> Path:
    """Every tenth group is validation; a group has ten rows, and a class a tenth of each group."""
    path = folder / f"{name}.csv"
    with path.open("w") as file:
        file.write("path,label,group,part\n")
        for row in range(rows):
            group = row // 10
            part = "train" if group % 10 else "val"
            place = f"pictures/{row // FILES:04}/{row % FILES:04}.png"
            file.write(f"{place},class {row % 10},patient {group},{part}\n")
    return path


class Cost(NamedTuple):
    """MB at the most, MB at the first record, and the seconds until then."""

    peak: float
    held: float
    seconds: float


def trained(table: Path, folder: Path) -> Cost:
    """Trains until the first record, which is written after STEPS steps."""
    outputs = folder / "outputs" / str(time.monotonic_ns())
    words = [*WORDS, f"data.root={table}", "data=table", f"runtime.outputs={outputs}"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    began = time.perf_counter()
    run = subprocess.Popen(
        [sys.executable, "-m", "sslcli", "pretrain", *words],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    while run.poll() is None and not any(outputs.rglob("metrics.jsonl")):
        time.sleep(0.1)
    while run.poll() is None and not any(p.stat().st_size for p in outputs.rglob("metrics.jsonl")):
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    if run.poll() is not None:
        assert run.stderr is not None
        sys.exit(f"it ended before its first record: {run.stderr.read().decode()[-2000:]}")
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{run.pid}/status").read_text().splitlines()
    )
    run.send_signal(signal.SIGINT)
    run.communicate()
    peak, held = (int(status[name].split()[0]) / 1000 for name in ("VmHWM", "VmRSS"))
    return Cost(peak, held, seconds)


if __name__ == "__main__":
    main()
