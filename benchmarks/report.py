"""`sslcli report` of a run of 10,000 steps: how large the page is, and how long until headless Chromium shows its charts.

python -m benchmarks.report [--steps 10000] [--times 5]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]
WORDS = ["data.limit=64", "batch_size=16", "epochs=1", "encoder.width=4", "runtime.threads=1"]


def lengthened(run: Path, steps: int) -> None:
    """A real run's records as if it had logged each of `steps` steps, and measured a hundred times."""
    lines = []
    for step in range(1, steps + 1):
        at = {"phase": "pretrain", "step": step, "epoch": step / 100}
        loss = 5 * math.exp(-step / steps) + random.gauss(0, 0.1)
        lines.append(
            {
                **at,
                "loss": loss,
                "rank_accuracy": random.random(),
                "learning_rate": 1 - step / steps,
            }
        )
        if step % (steps // 100) == 0:
            names = ("knn_accuracy", "feature_std", "effective_rank", "uniformity", "alignment")
            lines.append({**at, **{name: random.random() for name in names}})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def seconds_to_load(page_file: Path) -> tuple[float, list[str]]:
    """Until every chart is drawn, in a browser just started; and what it complained of or fetched."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page()
        troubles: list[str] = []
        page.on("console", lambda said: troubles.append(said.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "request",
            lambda sent: troubles.append(sent.url) if sent.url.startswith("http") else None,
        )
        began = time.perf_counter()
        page.goto(page_file.absolute().as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.chart')].every(one => one.querySelector('.main-svg'))"
        )
        seconds = time.perf_counter() - began
        browser.close()
    return seconds, troubles


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sslcli = [sys.executable, "-m", "sslcli"]
        quiet = {
            "check": True,
            "cwd": folder,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        subprocess.run([*sslcli, "pretrain", *WORDS], **quiet)  # type: ignore[call-overload]
        (run,) = (path.parent for path in Path(folder).rglob("run.json"))
        lengthened(run, given.steps)
        began = time.perf_counter()
        subprocess.run([*sslcli, "report", str(run)], **quiet)  # type: ignore[call-overload]
        written = time.perf_counter() - began
        page = run / "report.html"
        loads = [seconds_to_load(page) for _ in range(given.times)]
        size = page.stat().st_size / 1e6
    seconds = sorted(found for found, _ in loads)
    troubles = [trouble for _, found in loads for trouble in found]
    print(
        f"report of {given.steps:,} steps: {size:.2f} MB, written in {written:.1f} s (start-up included)"
    )
    median = seconds[len(seconds) // 2]
    print(
        f"loaded in headless Chromium in {median:.2f} s (median of {given.times}, {seconds[0]:.2f} to {seconds[-1]:.2f})"
    )
    print(f"console messages and requests: {len(troubles)} {troubles or ''}")


if __name__ == "__main__":
    main()
