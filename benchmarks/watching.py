"""`sslcli watch --web` of a run of 10,000 steps: how long until headless Chromium shows it, what it asks for, and what following costs.

Until the first picture: from the browser's request to its first paint, and to the curves' last line (its own clock). A
page follows a record a second; the processor's share is that of the watching process.

python -m benchmarks.watching [--steps 10000] [--times 5] [--seconds 20]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.report import FLAGS, WORDS, lengthened

SSLCLI = [sys.executable, "-m", "sslcli"]
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
DRAWN = "performance.getEntriesByName('drawn')[0].startTime"


def processor_seconds(process: int) -> float:
    """Of a process and its threads, as Linux counts them."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_picture(playwright: Any, address: str) -> tuple[float, float, list[str]]:
    """Seconds to the first paint and to the last curve, in a browser just started; and what it asked of others."""
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
    page = browser.new_page()
    elsewhere: list[str] = []
    page.on(
        "request",
        lambda sent: (
            elsewhere.append(sent.url) if not sent.url.startswith((address, "data:")) else None
        ),
    )
    page.goto(address)
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
    found = page.evaluate(PAINT) / 1000, page.evaluate(DRAWN) / 1000, elsewhere
    browser.close()
    return found


def follow(
    playwright: Any, address: str, run: Path, seconds: int, process: int
) -> tuple[float, bool]:
    """The watching process's share of a processor while a record a second comes; and whether the page has the last."""
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
    page = browser.new_page()
    page.goto(address)
    before, began = processor_seconds(process), time.monotonic()
    for number in range(seconds):
        record = {"phase": "pretrain", "step": 20_000 + number, "epoch": 200 + number, "loss": 1.0}
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        page.wait_for_timeout(1000)
    share = (processor_seconds(process) - before) / (time.monotonic() - began)
    page.wait_for_timeout(3000)
    is_shown = f"step {20_000 + seconds - 1:,}" in page.inner_text("#status")
    browser.close()
    return share, is_shown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        subprocess.run([*SSLCLI, "pretrain", *WORDS], cwd=folder, check=True, capture_output=True)
        (facts,) = Path(folder).rglob("run.json")
        lengthened(facts.parent, given.steps)
        watching = subprocess.Popen(
            [*SSLCLI, "watch", "last", "--web"], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        assert watching.stdout is not None
        address = watching.stdout.readline().strip()
        found = [first_picture(playwright, address) for _ in range(given.times)]
        for name, seconds in zip(
            ("first paint", "all curves"), list(zip(*found, strict=True))[:2], strict=True
        ):
            middle = statistics.median(seconds)
            print(
                f"{name}: {middle:.2f} s ({min(seconds):.2f} to {max(seconds):.2f}, n={given.times})"
            )
        print(f"requests to elsewhere: {sum(len(elsewhere) for *_, elsewhere in found)}")
        share, is_shown = follow(playwright, address, facts.parent, given.seconds, watching.pid)
        print(
            f"following a record a second: {share:.1%} of a processor; the last one is shown: {is_shown}"
        )
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        watching.terminate()
        watching.wait()


if __name__ == "__main__":
    main()
