"""Runs a job of a sweep as a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from sslcli.jobs.job_state import failure_of
from sslcli.runs.folder import Run, read_facts

OUTPUT_FILE = "output.txt"
POLL = 0.1
"""Seconds between two checks of a job's process; jobs' folders are checked a fifth as often."""


def continue_run(
    folder: Path,
    stopping: Callable[[], bool],
    at_once: int = 1,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Starts or continues a run by `sslcli resume`, in a process of its own.

    `at_once`: how many jobs share the machine; `environment`: what its own has beside ours.
    Where that process ends without writing a status into run.json, this writes `failed`.
    """
    with Run(folder) as run:
        run.update(status="waiting", error=None, runs_at_once=at_once)
    with (folder / OUTPUT_FILE).open("ab") as output:
        # Absolute: a relative one may begin with -, as a flag does.
        status = call(["resume", str(folder.absolute())], stopping, output, environment)
    if read_facts(folder)["status"] in ("waiting", "running") and not stopping():
        with Run(folder) as run:
            run.update(status="failed", error=failure_of(status, folder / OUTPUT_FILE))


def call(
    words: list[str],
    stopping: Callable[[], bool],
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Runs another sslcli, and stops it when `stopping()`; returns its exit status.

    The status is -N where signal N ended it. `output`: the file that gets its output and errors;
    `environment`: what its own has beside ours.
    """
    command = [sys.executable, "-m", "sslcli", *words]
    # In its own session it gets a terminal's Ctrl-C only once, from here.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    ) as process:
        stopped = False
        try:
            while process.poll() is None:
                if stopping() and not stopped:
                    process.terminate()
                    stopped = True
                time.sleep(POLL)
        except BaseException:  # a second signal ends it at once, by force if needed
            for _ in range(2):
                process.terminate()
                time.sleep(POLL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            raise
    return process.returncode
