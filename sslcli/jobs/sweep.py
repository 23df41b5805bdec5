"""Runs a sweep in one folder, with a process for each job. Does not import torch.

If it is started again, a sweep keeps its finished jobs and continues the others.

    <outputs>/<command>/sweeps/<time>-<hash of the command line>/
      sweep.json             the command line; at the end also the results of all jobs and settings
      000-1a2b3c4d/          a job: an ordinary run, named by number and identity; and output.txt
      003-refused.json       a job whose settings were refused, and why
      .stop                  exists while the sweep is being stopped; says why

A job is a process of its own, so its memory, threads and GPU cannot affect the next job, and a
killed process is one failed job. The launcher decides which process starts a job, and on which
machine: jobs share nothing but the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sslcli.config import identity
from sslcli.console import Console
from sslcli.engine.signals import stop_requests
from sslcli.errors import Interrupted, RunFailed, SslcliError
from sslcli.files import write_atomically
from sslcli.input_files import file_hashes
from sslcli.jobs.changed_code import encoder_changes, note_provenance
from sslcli.jobs.job import create, resolved, saved_config
from sslcli.jobs.job_state import states
from sslcli.jobs.own_device import own_device
from sslcli.jobs.process import POLL, call, continue_run
from sslcli.jobs.sweep_results import (
    JOB_NAME,
    SWEEP_FILE,
    jobs_of,
    read_sweep,
    refused_file,
    write_and_print_results,
)
from sslcli.runs.folder import Run, read_facts
from sslcli.runs.lock import LOCK_FILE, Lock, is_open
from sslcli.runs.summary import Summary
from sslcli.text import hydra_quoted, shell_path

STOP_FILE = ".stop"


@contextlib.contextmanager
def sweep_lock_and_display(sweep: Path, console: Console) -> Iterator[None]:
    """Locks the sweep and shows its jobs while a launcher works on it.

    A signal stops the jobs, which save first.
    """
    lock = Lock(sweep)
    (sweep / STOP_FILE).unlink(missing_ok=True)
    finished = [job.name for job in jobs_of(sweep) if job.status == "finished"]
    if finished:
        console.say(f"finished already: {', '.join(finished)}")
    ended = threading.Event()
    with _stoppable(sweep) as stopping, console.jobs() as show:

        def show_jobs() -> None:
            while not ended.wait(5 * POLL):
                stopping()
                show(states(jobs_of(sweep)))

        watcher = threading.Thread(target=show_jobs, daemon=True)
        watcher.start()
        try:
            yield
        except Exception:
            if not stopping():  # else the launcher only reports that its workers stopped
                raise
        finally:
            ended.set()
            watcher.join()
            stopping()
            show(states(jobs_of(sweep)))
            lock.release()


def delete_if_nothing_started(sweep: Path) -> None:
    """Deletes the files of a sweep that Hydra refused, unless a job has started.

    Other files in the folder stay.
    """
    if not any(job.started for job in jobs_of(sweep)):
        for name in (SWEEP_FILE, STOP_FILE, LOCK_FILE, "multirun.yaml"):  # the last is Hydra's
            (sweep / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder holds other files
            sweep.rmdir()


@contextlib.contextmanager
def _stoppable(sweep: Path) -> Iterator[Callable[[], bool]]:
    """Stops the sweep when a signal arrives inside the context.

    Yields the function that returns whether the sweep is being stopped, by any of its processes.
    """
    with stop_requests() as request:

        def stopping() -> bool:
            number = request.signal_number
            if number is not None:
                message = f"stopped by {signal.Signals(number).name}; what the jobs did is saved"
                fix = f"go on with the same command, or: sslcli resume {shell_path(sweep)}"
                stop(sweep, Interrupted(message, fix, number))
            return (sweep / STOP_FILE).exists()

        try:
            yield stopping
        finally:
            stopping()  # notes a signal that came after the last call


def stop(sweep: Path, reason: SslcliError) -> None:
    """Stops all jobs and starts no others; `finish_sweep` raises `reason`."""
    if not (sweep / STOP_FILE).exists():
        error = {"message": reason.message, "fix": reason.fix, "exit_code": reason.exit_code}
        write_atomically(sweep / STOP_FILE, json.dumps(error).encode())


def finish_sweep(sweep: Path, trouble: str | None, console: Console) -> None:
    """Writes sweep.json and prints the results.

    Raises the reason for which the sweep was stopped; or RunFailed (SslcliError, where all were
    refused) if jobs did not finish. `trouble`: what the launcher or sweeper reported.
    """
    jobs = jobs_of(sweep)
    write_and_print_results(sweep, jobs, console)
    if (sweep / STOP_FILE).exists():
        error = json.loads((sweep / STOP_FILE).read_text())
        (sweep / STOP_FILE).unlink()
        reason = SslcliError(error["message"], error["fix"])
        reason.exit_code = error["exit_code"]
        raise reason
    left = [job for job in jobs if job.status != "finished"]
    if trouble and all(job.status == "waiting" for job in left):
        go_on = f"sslcli resume {shell_path(sweep)}"
        fix = f"correct that, then: {go_on}; debug=true tells where it happened"
        raise RunFailed(trouble, fix)
    if left:
        refused = all(job.status == "refused" for job in jobs)
        names = ", ".join(job.name for job in left)
        raise (SslcliError if refused else RunFailed)(
            f"{len(left)} of {len(jobs)} jobs did not finish: {names}",
            f"the same command runs only those, as does: sslcli resume {shell_path(sweep)}",
        )


def run_job(
    sweep: Path,
    number: int,
    command: str,
    words: list[str],
    config: Callable[[], Any],
    at_once: int = 1,
) -> Path | None:
    """Runs the rest of a job in a process of its own, and returns its folder.

    Returns None where the sweep is being stopped, or where `config()`, the job or its folder
    raised SslcliError, which is written as the job's refusal. `at_once`: how many jobs the
    launcher runs here at a time.
    """
    with _stoppable(sweep) as stopping:
        if stopping():
            return None
        try:
            folder = _job_folder(sweep, number, command, words, config())
            refused_file(sweep, number).unlink(missing_ok=True)
            return _finished(folder, stopping, at_once)
        except SslcliError as error:
            refusal = {"words": words, "error": error.message, "fix": error.fix}
            write_atomically(refused_file(sweep, number), json.dumps(refusal, indent=2).encode())
            return None


def _finished(folder: Path, stopping: Callable[[], bool], at_once: int) -> Path | None:
    """Runs the rest of a job; None where the sweep is stopped while another process works on it."""
    while is_open(folder):  # its sweep was killed, and the job still runs
        if stopping():
            return None
        time.sleep(POLL)
    if read_facts(folder).get("status") != "finished":
        with own_device(folder.parent, at_once) as environment:
            continue_run(folder, stopping, at_once, environment)
    return folder


def _job_folder(sweep: Path, number: int, command: str, words: list[str], config: Any) -> Path:
    config = resolved(command, config)
    folder = sweep / f"{number:03d}-{identity(command, config, file_hashes(config))[:8]}"
    others = [
        other.parent for other in sweep.glob(f"{number:03d}-*/run.json") if other.parent != folder
    ]
    if others and JOB_NAME.fullmatch(others[0].name):
        message = (
            f"{others[0]} was started as another experiment: the same words mean something else now"
        )
        go_on = f"end it as it began: sslcli resume {shell_path(others[0])}"
        raise SslcliError(message, f"{go_on}; or start a new sweep: hydra.sweep.dir=FOLDER")
    if not (folder / "run.json").exists():
        return create(command, config, words, folder)
    facts = read_facts(folder)
    changes = encoder_changes(facts, config) if facts.get("status") == "finished" else []
    if changes:
        message = f"{folder} evaluated another encoder than these words name: {'; '.join(changes)}"
        raise SslcliError(message, "start a new sweep: hydra.sweep.dir=FOLDER")
    return folder


def accept_changed_code(sweep: Path) -> None:
    """Lets every job that is not finished go on with the code as it is now."""
    for job in jobs_of(sweep):
        if job.run is not None and job.run.status not in ("finished", "running"):
            with Run(job.run.folder) as run:
                note_provenance(run, *saved_config(job.run.folder))


def resume_sweep(sweep: Path) -> int:
    """Runs a sweep's command again in its working directory; returns the exit status."""
    saved = read_sweep(sweep)
    here = hydra_quoted(str(sweep.absolute()))
    with contextlib.suppress(OSError):  # that folder is gone: stay in this one
        os.chdir(saved["cwd"])
    with stop_requests() as request:
        status = call(
            [saved["command"], *saved["words"], f"hydra.sweep.dir={here}"],
            lambda: request.signal_number is not None,
        )
    return status if status >= 0 else 128 - status


def objective(folder: Path, direction: str | None) -> float | None:
    """Returns a job's validation metric for the sweeper, or None.

    Stops the sweep where the sweeper searches in the wrong `direction`.
    """
    run = Summary.of(folder)
    if run.validation is None:
        return None
    metric, larger = run.validation.metric, run.validation.larger_is_better
    right = "maximize" if larger else "minimize"
    if direction not in (None, right):
        better = "more" if larger else "less"
        message = f"hydra.sweeper.direction is {direction}, but of {metric} {better} is better"
        fix = f"add hydra.sweeper.direction={right}; what is finished will be kept"
        stop(folder.parent, SslcliError(message, fix))
    return run.metrics[metric]
