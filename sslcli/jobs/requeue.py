"""Lets Slurm queue a job again whose time is over; it then goes on with the run that it began.

`sbatch --signal=USR1@300` sends SIGUSR1 five minutes before the end. The run saves, and asks for
the job to be queued again; the job's script then types the same commands as before.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sslcli.config import identity
from sslcli.console import Console
from sslcli.errors import Interrupted, SslcliError
from sslcli.files import expanded
from sslcli.input_files import file_hashes
from sslcli.jobs.changed_code import encoder_changes
from sslcli.runs.find import find_runs
from sslcli.runs.folder import read_facts
from sslcli.system import REQUEUE
from sslcli.text import first_line

FACT = "slurm_job"
"""The entry of run.json that names the job in which a run was begun."""


def job_facts(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the entry of run.json for a run of a Slurm job; {} elsewhere."""
    job = environment.get("SLURM_JOB_ID")
    return {} if job is None else {FACT: job}


def begun_before(
    command: str, config: Any, words: list[str], environment: Mapping[str, str] = os.environ
) -> Path | None:
    """Returns the run that this job, before it was queued again, began by the same words.

    Of several, one that is not finished. None in a job that was not queued again. `config`:
    resolved; the same words may name other data in another folder, or another run by now.
    """
    job = environment.get("SLURM_JOB_ID")
    if job is None or int(environment.get("SLURM_RESTART_COUNT", "0")) == 0:
        return None
    begun = find_runs(expanded(config.runtime.outputs) / command)
    same = identity(command, config, file_hashes(config))
    found = [
        run
        for run in begun
        if _is_of(run, job, words, same) and not encoder_changes(read_facts(run), config)
    ]
    return min(found, key=lambda run: read_facts(run).get("status") == "finished", default=None)


def _is_of(run: Path, job: str, words: list[str], same: str) -> bool:
    """Tells whether the job began the run by these words, as `same`; another's may be damaged."""
    try:
        facts = read_facts(run)
        if (facts.get(FACT), facts.get("identity")) != (job, same):
            return False
        return bool(yaml.safe_load((run / "overrides.yaml").read_text()) == words)
    except (SslcliError, OSError, ValueError, yaml.YAMLError):
        return False


def queue_again(
    stop: Interrupted, console: Console, environment: Mapping[str, str] = os.environ
) -> None:
    """Asks Slurm to start the job anew, where its signal stopped the run; says what came of it."""
    job = environment.get("SLURM_JOB_ID")
    if stop.signal_number != REQUEUE or job is None:
        return
    try:
        asked = ["scontrol", "requeue", job]
        subprocess.run(asked, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as reason:
        console.warn(f"Slurm did not queue job {job} again: {reason.stderr.strip()}")
    except OSError as reason:
        console.warn(f"Slurm did not queue job {job} again: {first_line(reason)}")
    else:
        console.say(f"job {job} is queued again, and will go on from here")
