"""Runs a job of a sweep as a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sslcli.jobs.job_state import failure_of
from sslcli.runs.folder import Run, read_facts

OUTPUT_FILE = "output.txt"
POLL = 0.1
"""Seconds between two looks at a job's process; the jobs' folders are looked at five times as seldom."""


def continue_run(folder: Path, stopping: Callable[[], bool]) -> None:
    """`sslcli resume`, which also begins a run that waits; where it ends without a word in run.json, there will be one."""
    with Run(folder) as run:
        run.update(status="waiting", error=None)
    with (folder / OUTPUT_FILE).open("ab") as output:
        status = call(["resume", str(folder)], stopping, output)
    if read_facts(folder)["status"] in ("waiting", "running") and not stopping():
        with Run(folder) as run:
            run.update(status="failed", error=failure_of(status, folder / OUTPUT_FILE))


def call(words: list[str], stopping: Callable[[], bool], output: IO[bytes] | None = None) -> int:
    """Another sslcli, told to stop when this one is; returns its exit status, -N where signal N ended it. `output`: where
    what it says goes."""
    command = [sys.executable, "-m", "sslcli", *words]
    # A session of its own: a terminal's Ctrl-C comes once, from here.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    ) as process:
        told = False
        try:
            while process.poll() is None:
                if stopping() and not told:
                    process.terminate()
                    told = True
                time.sleep(POLL)
        except BaseException:  # a second signal: it is to end at once, and if need be by force
            for _ in range(2):
                process.terminate()
                time.sleep(POLL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            raise
    return process.returncode
