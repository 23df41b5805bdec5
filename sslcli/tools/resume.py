"""`sslcli resume` continues a run that has not finished, bit for bit.

It was interrupted, died or failed. Of a sweep it continues all such runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.jobs.job import move_data, require_unfinished, resume
from sslcli.jobs.sweep import accept_changed_code, resume_sweep
from sslcli.jobs.sweep_results import find_sweep
from sslcli.processes import launched_as
from sslcli.runs.find import resolve_run
from sslcli.runs.folder import Run, read_facts
from sslcli.tools.arguments import add_data_root, add_outputs, parse
from sslcli.trained.data import allow_changed_data


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli resume", description=__doc__)
    parser.add_argument(
        "run",
        help="the folder of a run or sweep, or the beginning of its name; "
        "`last`: the newest run that is not finished, and was not refused",
    )
    add_outputs(parser)
    parser.add_argument(
        "--from-previous",
        action="store_true",
        help="where the last checkpoint is damaged or missing: continue from the one before it, "
        "or the phase's beginning",
    )
    parser.add_argument(
        "--allow-changed-data",
        action="store_true",
        help="continue although the data have changed; run.json notes it",
    )
    parser.add_argument(
        "--accept-changed-code",
        action="store_true",
        help="continue although code, or a file that the method reads, has changed; "
        "run.json notes it",
    )
    add_data_root(parser)
    given = parse(parser, arguments)
    sweep = find_sweep(given.run, Path(given.outputs))
    if sweep is not None:
        if given.from_previous or given.allow_changed_data or given.data_root:
            raise SslcliError(
                f"{sweep} is a sweep, whose jobs are runs of their own", "name the job's folder"
            )
        if given.accept_changed_code:
            accept_changed_code(sweep)
        return resume_sweep(sweep)
    folder = resolve_run(
        given.run,
        Path(given.outputs),
        " to resume",
        lambda run: read_facts(run).get("status") not in ("finished", "refused"),
    )
    # Rank 0 alone changes the folder; the other ranks wait for it in training.
    is_rank0 = launched_as().rank == 0
    if given.from_previous and is_rank0:
        # Imports torch, which help and errors must not wait for.
        from sslcli.runs.step_back import step_back

        with Run(folder) as run:
            for sentence in step_back(run):
                console.say(sentence)
    if is_rank0 and (given.data_root or given.allow_changed_data):
        require_unfinished(folder, read_facts(folder))  # before the run is changed
        if given.data_root:
            move_data(folder, given.data_root)
        if given.allow_changed_data:
            with Run(folder) as run:
                allow_changed_data(run)
    resume(folder, console, given.accept_changed_code)
    return 0
