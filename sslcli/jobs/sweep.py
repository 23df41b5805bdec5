"""A sweep: one folder, one process a job. What is finished stays, everything else is gone on with. Does not import torch.

    <outputs>/<command>/sweeps/<time>-<hash of what was typed>/
      sweep.json             what was typed; at the end also what every job and every setting came to
      000-1a2b3c4d/          a job: a run like any other, named by its number and its identity, with output.txt
      003-refused.json       a job whose settings were refused, and why
      .stop                  there while the sweep is being stopped, and why

Jobs are processes of their own, so that what one does to memory, threads or a GPU cannot touch the next, and one that is killed
is one failed job. Which process begins them, and on which machine, is the launcher's affair: all they share is the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
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
from sslcli.experiments.table import EXPERIMENTS
from sslcli.files import write_atomically
from sslcli.jobs.job import create, refused_by_system
from sslcli.jobs.job_state import states
from sslcli.jobs.process import POLL, call, continue_run
from sslcli.jobs.sweep_results import (
    JOB_NAME,
    SWEEP_FILE,
    jobs_of,
    read_sweep,
    refused_file,
    tell,
    write_sweep,
)
from sslcli.runs.find import find_runs, new_folder
from sslcli.runs.folder import read_facts
from sslcli.runs.lock import LOCK_FILE, Lock, is_open
from sslcli.runs.summary import Summary
from sslcli.text import hydra_quoted, shell_quoted

STOP_FILE = ".stop"


def open_sweep(
    outputs: Path,
    command: str,
    words: list[str],
    planned: list[list[str]],
    folder: Path | None = None,
) -> Path:
    """The folder of the sweep that these words are: `folder`, or the newest of theirs under `outputs`, or a new one.
    `planned`: the words of every job, where they are known beforehand."""
    meant = [command, *what_is_run(words)]
    try:
        folder = folder or _named_after(meant, outputs / command / "sweeps")
        folder.mkdir(parents=True, exist_ok=True)
        before: dict[str, Any] = {"started": time.time()}
        before = read_sweep(folder) if (folder / SWEEP_FILE).exists() else before
        if "command" in before and [before["command"], *what_is_run(before["words"])] != meant:
            message = f"{folder} is the sweep of other words: {before['command']} {' '.join(before['words'])}"
            raise SslcliError(message, "choose another hydra.sweep.dir, or none")
        typed = [word for word in words if not word.startswith("hydra.sweep.dir=")]
        now = {"command": command, "words": typed, "cwd": str(Path.cwd()), "planned": planned}
        write_sweep(folder, {**before, **now})
    except OSError as reason:
        raise refused_by_system(
            reason, "set runtime.outputs to a folder that can be written"
        ) from reason
    return folder


def _named_after(meant: list[str], parent: Path) -> Path:
    digest = hashlib.sha256(json.dumps(meant).encode()).hexdigest()[:8]
    named = sorted(parent.glob(f"*-{digest}")) if parent.is_dir() else []
    return (
        named[-1] if named else new_folder(parent, f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{digest}")
    )


def what_is_run(words: list[str]) -> list[str]:
    """The words without those that say where and how: the same of these is the same sweep. Precision changes the numbers."""
    aside = re.compile(r"runtime\.(?!precision=)|hydra[./]")
    return [word for word in words if not aside.match(word) and word not in MULTIRUN]


MULTIRUN = ("-m", "--multirun")


@contextlib.contextmanager
def going(sweep: Path, console: Console) -> Iterator[None]:
    """While a launcher works on the sweep: nobody else may, the jobs are shown, and a signal stops them, all saved."""
    lock = Lock(sweep)
    (sweep / STOP_FILE).unlink(missing_ok=True)
    finished = [job.name for job in jobs_of(sweep) if job.status == "finished"]
    if finished:
        console.say(f"finished already: {', '.join(finished)}")
    ended = threading.Event()
    with _stoppable(sweep) as stopping, console.jobs() as show:

        def look_on() -> None:
            while not ended.wait(5 * POLL):
                stopping()
                show(states(jobs_of(sweep)))

        watcher = threading.Thread(target=look_on, daemon=True)
        watcher.start()
        try:
            yield
        except Exception:
            if not stopping():  # else it is only what a launcher says when its workers stop
                raise
        finally:
            ended.set()
            watcher.join()
            stopping()
            show(states(jobs_of(sweep)))
            lock.release()


def forget_unbegun(sweep: Path) -> None:
    """The words were refused as a whole: what was made for them goes, and nothing else that is in the folder."""
    if not any(job.begun for job in jobs_of(sweep)):
        for name in (SWEEP_FILE, STOP_FILE, LOCK_FILE, "multirun.yaml"):  # the last is Hydra's
            (sweep / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody's folder, with something in it
            sweep.rmdir()


@contextlib.contextmanager
def _stoppable(sweep: Path) -> Iterator[Callable[[], bool]]:
    """Inside, a signal stops the sweep; yields what tells whether it is being stopped, by a signal here or elsewhere."""
    with stop_requests() as request:

        def stopping() -> bool:
            number = request.signal_number
            if number is not None:
                message = f"stopped by {signal.Signals(number).name}; what the jobs did is saved"
                fix = f"go on with the same command, or: sslcli resume {shell_quoted(sweep)}"
                stop(sweep, Interrupted(message, fix, number))
            return (sweep / STOP_FILE).exists()

        try:
            yield stopping
        finally:
            stopping()  # a signal that came since it was last asked is not forgotten


def stop(sweep: Path, reason: SslcliError) -> None:
    """No further job of the sweep begins, those that run save and end, on whatever machine; `reason` is said in the end."""
    if not (sweep / STOP_FILE).exists():
        told = {"message": reason.message, "fix": reason.fix, "exit_code": reason.exit_code}
        write_atomically(sweep / STOP_FILE, json.dumps(told).encode())


def conclude(sweep: Path, trouble: str | None, console: Console) -> None:
    """Writes sweep.json and shows what the sweep came to. Raises why it was stopped, that jobs did not finish, or what
    `trouble` there was besides."""
    jobs = jobs_of(sweep)
    tell(sweep, jobs, console)
    if (sweep / STOP_FILE).exists():
        told = json.loads((sweep / STOP_FILE).read_text())
        (sweep / STOP_FILE).unlink()
        reason = SslcliError(told["message"], told["fix"])
        reason.exit_code = told["exit_code"]
        raise reason
    left = [job for job in jobs if job.status != "finished"]
    if trouble and all(job.status == "waiting" for job in left):
        raise RunFailed(
            trouble,
            f"mend that, then: sslcli resume {shell_quoted(sweep)}; debug=true tells where it happened",
        )
    if left:
        refused = all(job.status == "refused" for job in jobs)
        raise (SslcliError if refused else RunFailed)(
            f"{len(left)} of {len(jobs)} jobs did not finish: {', '.join(job.name for job in left)}",
            f"the same command runs only those, as does: sslcli resume {shell_quoted(sweep)}",
        )


def run_job(
    sweep: Path, number: int, command: str, words: list[str], config: Callable[[], Any]
) -> Path | None:
    """Does, in a process of its own, what is left to do of a job. Returns its folder; None where `config` was refused, or
    the sweep is being stopped."""
    with _stoppable(sweep) as stopping:
        if stopping():
            return None
        try:
            folder = _job_folder(sweep, number, command, words, config())
        except SslcliError as error:
            refusal = {"words": words, "error": error.message, "fix": error.fix}
            write_atomically(refused_file(sweep, number), json.dumps(refusal, indent=2).encode())
            return None
        refused_file(sweep, number).unlink(missing_ok=True)
        while is_open(folder):  # the sweep that began it was killed, and left it alone
            if stopping():
                return None
            time.sleep(POLL)
        if read_facts(folder).get("status") != "finished":
            continue_run(folder, stopping)
    return folder


def _job_folder(sweep: Path, number: int, command: str, words: list[str], config: Any) -> Path:
    config = EXPERIMENTS[command].load_config().resolve(config)
    folder = sweep / f"{number:03d}-{identity(command, config)[:8]}"
    others = [
        other.parent for other in sweep.glob(f"{number:03d}-*/run.json") if other.parent != folder
    ]
    if others and JOB_NAME.fullmatch(others[0].name):
        message = (
            f"{others[0]} was begun as another experiment: the same words mean something else now"
        )
        raise SslcliError(
            message, "begin a sweep of its own: hydra.sweep.dir=FOLDER, or another runtime.outputs"
        )
    return folder if (folder / "run.json").exists() else create(command, config, words, folder)


def find_sweep(name: str, outputs: Path) -> Path | None:
    """The sweep that `name` names: a folder, or the one under `outputs` whose own name, or path, begins so. None where it
    names none. Raises SslcliError where it names several, or a run as well."""
    if (Path(name).expanduser() / SWEEP_FILE).exists():
        return Path(name).expanduser()
    fitting = [
        path.parent
        for path in sorted(outputs.glob(f"*/sweeps/*/{SWEEP_FILE}"))
        if any(
            own.startswith(name)
            for own in (path.parent.name, str(path.parent.relative_to(outputs)), str(path.parent))
        )
    ]
    if fitting:
        fitting += [run for run in find_runs(outputs) if run.name.startswith(name)]
    if len(fitting) > 1:
        message = (
            f"{len(fitting)} sweeps or runs begin with {name!r}: {', '.join(map(str, fitting[:3]))}"
        )
        raise SslcliError(message, "type more of the name")
    return fitting[0] if fitting else None


def resume_sweep(sweep: Path) -> int:
    """The sweep's words again, from the folder where they were typed; returns the exit status."""
    saved = read_sweep(sweep)
    here = hydra_quoted(str(sweep.absolute()))
    with contextlib.suppress(OSError):  # where that folder is gone, from this one
        os.chdir(saved["cwd"])
    with stop_requests() as request:
        status = call(
            [saved["command"], *saved["words"], f"hydra.sweep.dir={here}"],
            lambda: request.signal_number is not None,
        )
    return status if status >= 0 else 128 - status


def objective(folder: Path, direction: str | None) -> float | None:
    """What a sweeper learns of a job: its validation metric. One that searches in the wrong `direction` is stopped."""
    run = Summary.of(folder)
    if run.validation is None:
        return None
    metric, larger = run.validation.metric, run.validation.larger_is_better
    right = "maximize" if larger else "minimize"
    if direction not in (None, right):
        message = f"hydra.sweeper.direction is {direction}, but of {metric} {'more' if larger else 'less'} is better"
        stop(
            folder.parent,
            SslcliError(
                message, f"add hydra.sweeper.direction={right}; what is finished will be kept"
            ),
        )
    return run.metrics[metric]
