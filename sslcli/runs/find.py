"""Finds runs by name and makes folders for new ones. Does not import torch."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.files import expanded


def new_folder(parent: Path, name: str | None = None) -> Path:
    """Makes a new folder named `name`, by default the time, and returns it.

    A number is added where the name is taken.
    """
    name = name or datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise SslcliError(
        f"{parent} already holds 999 runs named {name}", "choose another runtime.outputs"
    )


def find_runs(outputs: Path) -> list[Path]:
    """Returns the runs below `outputs`, newest first; follows no links."""
    started = [
        (_started(folder / "run.json"), str(folder), folder) for folder in _run_folders(outputs)
    ]
    return [folder for _, _, folder in sorted(started, reverse=True)]


def _run_folders(outputs: Path) -> Iterator[Path]:
    """Yields the run folders below `outputs`; searches inside no run.

    Folders that cannot be read or vanish are skipped.
    """
    waiting = [outputs]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            inside = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
            if inside.get("run.json") is False:
                yield folder
            else:
                waiting += [folder / name for name, is_folder in inside.items() if is_folder]


def _started(facts: Path) -> float:
    try:
        return float(json.loads(facts.read_bytes())["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return facts.lstat().st_mtime


def resolve_run(
    name: str, outputs: Path, what: str = "", wanted: Callable[[Path], bool] = lambda _: True
) -> Path:
    """Returns the run of this name.

    `name` is a run's folder; or `last`, the newest run that is `wanted`; or the name or path of a
    run under `outputs`, or its beginning. `what` ends the message "there is no run" for `last`.
    Raises SslcliError where no run or several have the name.
    """
    folder = expanded(name)
    if (folder / "run.json").exists():
        return folder
    runs = find_runs(outputs)
    if name == "last":
        newest = next((run for run in runs if wanted(run)), None)
        if newest is None:
            raise SslcliError(
                f"there is no run{what} under {outputs.absolute()}", "start one: sslcli pretrain"
            )
        return newest
    names = {run: (run.name, str(run.relative_to(outputs)), str(run)) for run in runs if name}
    fitting = [run for run, own in names.items() if name.rstrip("/") in own]
    fitting = fitting or [
        run for run, own in names.items() if any(one.startswith(name) for one in own)
    ]
    if len(fitting) > 1:
        fitting = [run for run in fitting if wanted(run)] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise SslcliError(
            f"no run is named {name!r}: it is no run folder, "
            f"and none under {outputs.absolute()} begins so",
            "`sslcli runs` lists the runs; `last` names the newest",
        )
    listed = ", ".join(str(run) for run in fitting[:3])
    raise SslcliError(f"{len(fitting)} runs begin with {name!r}: {listed}", "type more of the name")
