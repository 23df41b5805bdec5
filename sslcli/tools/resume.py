"""`sslcli resume RUN`: goes on with a run that was interrupted, died or failed, bit for bit; or with a sweep's such runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.jobs.job import resume
from sslcli.jobs.sweep import find_sweep, resume_sweep
from sslcli.processes import launched_as
from sslcli.runs.find import resolve_run
from sslcli.runs.folder import Run, read_facts
from sslcli.tools.arguments import add_outputs, parse
from sslcli.trained.data import allow_changed_data


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli resume", description=__doc__)
    parser.add_argument(
        "run",
        help="the run's folder, the beginning of its name, or `last`: the newest that is not finished; or a sweep's",
    )
    add_outputs(parser)
    parser.add_argument(
        "--from-previous",
        action="store_true",
        help="where the last checkpoint is damaged: go on from the one before it, or the phase's beginning",
    )
    parser.add_argument(
        "--allow-changed-data",
        action="store_true",
        help="go on although the data are others now; run.json notes it",
    )
    given = parse(parser, arguments)
    sweep = find_sweep(given.run, Path(given.outputs))
    if sweep is not None:
        if given.from_previous or given.allow_changed_data:
            raise SslcliError(
                f"{sweep} is a sweep, whose jobs are runs of their own", "name the job's folder"
            )
        return resume_sweep(sweep)
    folder = resolve_run(
        given.run,
        Path(given.outputs),
        " to resume",
        lambda run: read_facts(run).get("status") != "finished",
    )
    leads = (
        launched_as().rank == 0
    )  # of several processes the first changes the folder, the others wait for it in training
    if given.from_previous and leads:
        from sslcli.runs.checkpoint import (
            step_back,
        )  # imports torch: help and errors must answer at once

        with Run(folder) as run:
            for sentence in step_back(run):
                console.say(sentence)
    if given.allow_changed_data and leads:
        with Run(folder) as run:
            allow_changed_data(run)
    resume(folder, console)
    return 0
