"""`sslcli --help` with 30 packages of plugins installed, one of which sleeps when it is imported, beside none.

python -m benchmarks.plugins [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GROUPS = ("sslcli.methods", "sslcli.encoders", "sslcli.data", "sslcli.optimizers")
COUNT, SLEEPS = 30, 7


def install(folder: Path) -> None:
    """Writes what pip would: a module, and what it brings."""
    for number in range(COUNT):
        name = f"late_{number}"
        body = "import time; time.sleep(5)\n" if number == SLEEPS else "Config = object\n"
        (folder / f"{name}.py").write_text(body)
        about = folder / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = (f"[{group}]\n{name} = {name}:Config\n" for group in GROUPS)
        (about / "entry_points.txt").write_text("\n".join(points))


def seconds(path: str, rounds: int) -> float:
    """The least wall time of `sslcli --help` with this PYTHONPATH."""
    words = [sys.executable, "-m", "sslcli", "--help"]
    measured = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(
            words, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL, check=True
        )
        measured.append(time.perf_counter() - began)
    return min(measured)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        install(Path(name))
        print(
            f"{COUNT} plugins: {seconds(name, rounds):.3f} s; none: {seconds('', rounds):.3f} s (best of {rounds})"
        )


if __name__ == "__main__":
    main()
