"""`sslcli track` gives what a run recorded to trackers that have not got it yet.

It goes on with what they have got, which stands in <run>/trackers.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.jobs.tracking import sweep_of, tell
from sslcli.runs.find import resolve_run
from sslcli.runs.folder import Run
from sslcli.saved import read, values_of_saved
from sslcli.tools.arguments import add_outputs, parse
from sslcli.trackers import couriers
from sslcli.trackers.couriers import CourierProcess
from sslcli.trackers.sent import Stage
from sslcli.trackers.table import require_trackers

TRIES = 30.0
"""Seconds for which a tracker may fail before it is given up."""


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli track", description=__doc__)
    parser.add_argument("run", help="the run's folder, the beginning of its name, or `last`")
    parser.add_argument(
        "--to",
        metavar="TRACKERS",
        help="mlflow, or several: mlflow,wandb (default: those of the run's runtime.trackers)",
    )
    add_outputs(parser)
    given = parse(parser, arguments)
    folder = resolve_run(given.run, Path(given.outputs))
    names = given.to.split(",") if given.to else trackers_of(folder)
    if not names:
        raise SslcliError(f"{folder} has no runtime.trackers", "name some: --to mlflow")
    require_trackers(names)
    with Run(folder):  # no other process may write it meanwhile
        working = couriers.start(folder, names, sweep_of(folder), console.warn)
        with contextlib.suppress(KeyboardInterrupt):
            wait(working, couriers.num_records(folder))
        outcomes = couriers.end(working, TRIES)
    tell(folder, outcomes, console)
    complete = [outcome.complete for outcome in outcomes.values()]
    return 0 if all(complete) and len(complete) == len(names) else 1


def trackers_of(folder: Path) -> list[str]:
    """Returns the trackers that the run's config names."""
    values = values_of_saved(read(folder / "config.yaml"))
    also = values.get("runtime.tensorboard") is True
    return list(dict.fromkeys(["tensorboard"] * also + list(values.get("runtime.trackers") or [])))


def wait(working: Sequence[CourierProcess], total: int) -> None:
    """Waits until every tracker has all records, or has failed for TRIES seconds, or is gone."""
    since = {courier.name: time.monotonic() for courier in working}
    left = list(working)
    while left:
        time.sleep(couriers.POLL)
        now = time.monotonic()
        for courier in left:
            if courier.sent.stage is not Stage.failing:
                since[courier.name] = now
        left = [
            courier
            for courier in left
            if courier.works and courier.sent.records < total and now - since[courier.name] < TRIES
        ]
