"""Lets trackers follow a run, from its session's start to its end. Does not import torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.jobs.sweep_results import SWEEP_FILE
from sslcli.runs.folder import Run
from sslcli.text import shell_path
from sslcli.trackers import couriers
from sslcli.trackers.couriers import Outcome
from sslcli.trackers.table import require_trackers


@contextlib.contextmanager
def tracked(run: Run, names: Sequence[str], console: Console) -> Iterator[None]:
    """Gives what the run records to the trackers while inside; run.json notes what they got.

    Whatever they do, the run goes on.
    """
    working = couriers.start(run.folder, usable(names, console), sweep_of(run.folder), console.warn)
    try:
        yield
    finally:
        if working:
            outcomes = couriers.end(working)
            tell(run.folder, outcomes, console)
            with contextlib.suppress(OSError):  # a full disk: it was said
                run.update(trackers=couriers.as_facts(outcomes))


def usable(names: Sequence[str], console: Console) -> list[str]:
    """Returns the trackers that can be used here; warns of the others: the run goes on without."""
    found = []
    for name in names:
        try:
            require_trackers([name])
            found.append(name)
        except SslcliError as error:
            console.warn(f"{error.message}: the run goes on without it; {error.fix}")
    return found


def sweep_of(run: Path) -> str | None:
    """Returns the name of the sweep that a run is a job of."""
    sweep = run.absolute().parent
    return sweep.name if (sweep / SWEEP_FILE).is_file() else None


def tell(run: Path, outcomes: dict[str, Outcome], console: Console) -> None:
    """Says where the run is to be seen, and what a tracker did not get."""
    for name, outcome in outcomes.items():
        total = outcome.records + outcome.missing + outcome.unclear
        if outcome.complete and not outcome.unclear:
            console.say(f"{name}: {outcome.look}")
            continue
        unclear = f", and perhaps {outcome.unclear} more" if outcome.unclear else ""
        text = f"tracker {name} has {outcome.records:,} of {total:,} records{unclear}"
        if not outcome.complete:
            text += f": {outcome.failure}; the rest: sslcli track {shell_path(run)}"
        console.warn(text)
