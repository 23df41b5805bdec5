"""Reads the state of a sweep's jobs from their folders."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sslcli.console import JobState
from sslcli.runs.summary import Summary
from sslcli.text import duration

TAIL = 4096
"""Bytes at the end of metrics.jsonl that hold the newest record."""


@dataclass(frozen=True)
class Job:
    """Describes a job of a sweep.

    `words`: its overrides; `what`: those in which it differs from the other jobs; `facts`: its
    run.json, or its refusal; `run`: None where it was refused or has not started.
    """

    number: int
    words: list[str]
    what: list[str]
    facts: dict[str, Any]
    run: Summary | None

    @property
    def name(self) -> str:
        return f"{self.number:03d}"

    @property
    def status(self) -> str:
        return str(self.facts["status"])

    @property
    def started(self) -> bool:
        return self.run is not None or self.status == "refused"


def states(jobs: Sequence[Job]) -> list[JobState]:
    """Returns the jobs' states for the console."""
    return [_state(job) for job in jobs]


def _state(job: Job) -> JobState:
    facts, progress, newest = job.facts, "", str(job.facts.get("error") or "")
    seconds = float(facts.get("seconds", 0.0))
    if job.status == "running" and job.run is not None:
        record = newest_record(job.run.folder)
        steps = facts.get("derived", {}).get("num_steps")
        if record:
            progress = f"{record['step']}/{steps}" if steps else f"step {record['step']}"
        newest = f"loss {record['loss']:.4g}" if "loss" in record else ""
        seconds += max(0.0, time.time() - (job.run.folder / "run.json").stat().st_mtime)
    if job.status == "finished" and job.run is not None and job.run.validation is not None:
        newest = named_value(job.run.validation.metric, job.run.metrics)
    spent = duration(seconds) if seconds else ""
    return JobState(job.name, " ".join(job.what), job.status, progress, newest, spent)


def newest_record(run: Path) -> dict[str, Any]:
    """Returns the last complete record of metrics.jsonl; empty where there is none."""
    path = run / "metrics.jsonl"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().split(b"\n")[:-1]
    whole = bool(lines) and lines[-1].startswith(b"{")
    return cast("dict[str, Any]", json.loads(lines[-1])) if whole else {}


def failure_of(status: int, output: Path) -> str:
    """Returns why a job's process failed, from its exit status and its last output."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    lines = output.read_text(errors="replace").strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return f"exit status {status}: {(errors or lines or ['it said nothing'])[-1]}"


def named_value(metric: str, metrics: dict[str, float]) -> str:
    """Returns a metric with its value: `knn accuracy 0.25`."""
    return f"{metric.replace('_', ' ')} {metrics[metric]:.4g}"
