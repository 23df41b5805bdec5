"""Finds the folder of a sweep by the words that were typed, or makes it. Does not import torch."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError
from sslcli.jobs.job import refused_by_system
from sslcli.jobs.sweep_results import SWEEP_FILE, read_sweep, write_sweep
from sslcli.runs.find import new_folder
from sslcli.text import shell_path

MULTIRUN = ("-m", "--multirun")


def open_sweep(
    outputs: Path,
    command: str,
    words: list[str],
    planned: list[list[str]],
    folder: Path | None = None,
) -> Path:
    """Returns the folder of the sweep that `words` describe, with sweep.json written.

    That is `folder`, or the newest one under `outputs` of the same words in this working
    directory, or a new one. `planned`: the overrides of every job; empty where the sweeper chooses
    them one by one.
    """
    identifying = [command, *identifying_words(words)]
    try:
        folder = folder or _folder_for(identifying, outputs / command / "sweeps")
        folder.mkdir(parents=True, exist_ok=True)
        before: dict[str, Any] = {"started": time.time()}
        before = read_sweep(folder) if (folder / SWEEP_FILE).exists() else before
        if "command" in before and _identifying(before) != identifying:
            other = f"{before['command']} {' '.join(before['words'])}"
            message = f"{folder} is the sweep of other words: {other}"
            raise SslcliError(message, "choose another hydra.sweep.dir, or none")
        if not _is_of_here(before):
            message = f"{folder} is the sweep of another folder: it was started in {before['cwd']}"
            there = f"go on with it: sslcli resume {shell_path(folder)}"
            raise SslcliError(message, f"{there}; or choose another hydra.sweep.dir, or none")
        typed = [word for word in words if not word.startswith("hydra.sweep.dir=")]
        now = {"command": command, "words": typed, "cwd": str(Path.cwd()), "planned": planned}
        write_sweep(folder, {**before, **now})
    except OSError as reason:
        raise refused_by_system(
            reason, "set runtime.outputs to a folder that can be written"
        ) from reason
    return folder


def _identifying(saved: dict[str, Any]) -> list[str]:
    return [saved["command"], *identifying_words(saved["words"])]


def _folder_for(identifying: list[str], parent: Path) -> Path:
    digest = hashlib.sha256(json.dumps(identifying).encode()).hexdigest()[:8]
    # `new_folder` adds a number where two began in one second.
    earlier = [path for end in ("", "_*") for path in parent.glob(f"*-{digest}{end}")]
    for sweep in sorted(earlier, reverse=True):
        if not (sweep / SWEEP_FILE).exists() or _is_of_here(read_sweep(sweep)):
            return sweep
    return new_folder(parent, f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{digest}")


def _is_of_here(saved: dict[str, Any]) -> bool:
    """Tells whether relative paths in a sweep's words begin where they did; True if that is gone.

    A folder that was moved as a whole has no other sweep.
    """
    begun = Path(saved.get("cwd", Path.cwd()))
    return begun == Path.cwd() or not begun.is_dir()


def identifying_words(words: list[str]) -> list[str]:
    """Returns the words that identify a sweep: those that change its results.

    `runtime.precision` is one of them; other words of `runtime` only say where and how it runs.
    """
    where_and_how = re.compile(r"runtime\.(?!precision=)|hydra[./]")
    return [word for word in words if not where_and_how.match(word) and word not in MULTIRUN]
