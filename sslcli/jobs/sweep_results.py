"""Reads a sweep's jobs, writes sweep.json, and prints the table of results.

It imports no torch.
"""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.files import expanded, write_atomically
from sslcli.jobs.job_state import Job
from sslcli.runs.find import find_runs
from sslcli.runs.summary import SEED, Choice, Summary, best_of, spread
from sslcli.text import duration

SWEEP_FILE = "sweep.json"
JOB_NAME = re.compile(r"(\d{3,})-[0-9a-f]{8}")
REFUSED_NAME = re.compile(r"(\d{3,})-refused\.json")
SHOWN_METRICS = ("top1", "knn_accuracy", "loss")


def jobs_of(sweep: Path) -> list[Job]:
    """Returns a sweep's jobs by number; other folders (a job's rerun) are left out.

    A job that began and was refused when it was typed again has its folder, and the refusal as its
    status and error.
    """
    saved = read_sweep(sweep)
    rows: list[tuple[int, list[str], dict[str, Any], Summary | None]] = []
    paths = list(sweep.iterdir())
    refused = {
        int(name[1]): _refusal_in(path)
        for path in paths
        if (name := REFUSED_NAME.fullmatch(path.name))
    }
    for path in paths:
        if (name := JOB_NAME.fullmatch(path.name)) and (path / "run.json").exists():
            run = Summary.of(path)
            _, refusal = refused.get(int(name[1]), ([], {}))
            facts = {**run.facts, **refusal}
            rows.append((int(name[1]), _words_in(path / "overrides.yaml"), facts, run))
    started = {number for number, *_ in rows}
    rows += [(n, *refusal, None) for n, refusal in refused.items() if n not in started]
    started = {number for number, *_ in rows}
    planned = enumerate(saved["planned"])
    rows += [(n, words, {"status": "waiting"}, None) for n, words in planned if n not in started]
    every = [words for _, words, _, _ in rows]
    common = {*saved["words"], *(set(every[0]).intersection(*every) if len(every) > 1 else ())}
    jobs = [
        Job(n, words, [w for w in words if w not in common], facts, run)
        for n, words, facts, run in rows
    ]
    return sorted(jobs, key=lambda job: job.number)


def refused_file(sweep: Path, number: int) -> Path:
    return sweep / f"{number:03d}-refused.json"


def find_sweep(name: str, outputs: Path) -> Path | None:
    """Returns the sweep of this name, or None; raises SslcliError if several fit.

    `name` is its folder, or the beginning of its folder's name or path under `outputs`.
    """
    if (expanded(name) / SWEEP_FILE).exists():
        return expanded(name)
    fitting = []
    for path in sorted(outputs.glob(f"*/sweeps/*/{SWEEP_FILE}")):
        sweep = path.parent
        names = (sweep.name, str(sweep.relative_to(outputs)), str(sweep))
        if any(one.startswith(name) for one in names):
            fitting.append(sweep)
    if fitting:
        fitting += [run for run in find_runs(outputs) if run.name.startswith(name)]
    if len(fitting) > 1:
        listed = ", ".join(map(str, fitting[:3]))
        message = f"{len(fitting)} sweeps or runs begin with {name!r}: {listed}"
        raise SslcliError(message, "type more of the name")
    return fitting[0] if fitting else None


def read_sweep(sweep: Path) -> dict[str, Any]:
    """Reads sweep.json; raises SslcliError where it is damaged."""
    path = sweep / SWEEP_FILE
    with _damage_reported(path):
        facts = json.loads(path.read_text())
        _as_words(facts["words"])
        for words in facts["planned"]:
            _as_words(words)
        if not isinstance(facts["command"], str):
            raise TypeError("the command must be a word")
        return cast("dict[str, Any]", facts)


@contextlib.contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    """Turns errors in reading `path` inside the context into an SslcliError."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as reason:
        message = f"{path} cannot be read: {str(reason).splitlines()[0]}"
        raise SslcliError(
            message, "restore it from a copy, or move it away and start the sweep again"
        ) from None


def _words_in(path: Path) -> list[str]:
    with _damage_reported(path):
        return _as_words(yaml.safe_load(path.read_text()))


def _refusal_in(path: Path) -> tuple[list[str], dict[str, Any]]:
    with _damage_reported(path):
        refusal = json.loads(path.read_text())
        return _as_words(refusal["words"]), {**refusal, "status": "refused"}


def _as_words(found: object) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise TypeError(f"it should hold a list of words, not {found!r}")
    return found


def write_sweep(sweep: Path, facts: dict[str, Any]) -> None:
    write_atomically(
        sweep / SWEEP_FILE, (json.dumps(facts, indent=2, allow_nan=False) + "\n").encode()
    )


@dataclass(frozen=True)
class Setting:
    """Groups jobs that differ only in the seed."""

    words: list[str]
    jobs: list[Job]

    @property
    def finished(self) -> list[Summary]:
        return [job.run for job in self.jobs if job.run is not None and job.status == "finished"]

    def facts(self, key: str) -> list[float]:
        return [run.facts[key] for run in self.finished if run.facts.get(key) is not None]


def settings_of(jobs: Sequence[Job]) -> list[Setting]:
    """Groups jobs that differ only in the seed, in the order of the jobs."""
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        words = tuple(word for word in job.what if not word.startswith(f"{SEED}="))
        groups.setdefault(words, []).append(job)
    return [Setting(list(words), repeated) for words, repeated in groups.items()]


def chosen(settings: Sequence[Setting]) -> tuple[Choice, Setting | None]:
    """Returns the metric that settings are chosen by, and the best setting or None."""
    choice = best_of([setting.finished for setting in settings])
    return choice, None if choice.best is None else settings[choice.best]


def write_and_print_results(sweep: Path, jobs: Sequence[Job], console: Console) -> None:
    """Writes sweep.json, prints the table, and warns of every job that did not finish."""
    settings = settings_of(jobs)
    write_sweep(sweep, {**read_sweep(sweep), **_results(jobs, settings)})
    if any(setting.finished for setting in settings):
        _show(settings, console)
    for job in jobs:
        if job.status not in ("finished", "waiting"):
            why = "; ".join(str(job.facts[key]) for key in ("error", "fix") if job.facts.get(key))
            console.warn(
                f"job {job.name} ({' '.join(job.what)}) {job.status}{f': {why}' if why else ''}"
            )
    console.say(f"sweep: {sweep}")


def _results(jobs: Sequence[Job], settings: Sequence[Setting]) -> dict[str, Any]:
    choice, best = chosen(settings)
    return {
        "ended": time.time(),
        "validation": None if choice.validation is None else asdict(choice.validation),
        "jobs": [
            {
                "number": job.number,
                "folder": None if job.run is None else job.run.folder.name,
                "words": job.words,
                "status": job.status,
                **{
                    key: job.facts.get(key)
                    for key in ("metrics", "seconds", "peak_memory_bytes", "error")
                },
            }
            for job in jobs
        ],
        "settings": [
            {
                "words": setting.words,
                "jobs": [job.number for job in setting.jobs],
                "n": len(setting.finished),
                "best": setting is best,
                "metrics": {
                    metric: {"mean": found.mean, "sd": found.sd}
                    for metric in dict.fromkeys(
                        metric for run in setting.finished for metric in run.metrics
                    )
                    if (found := spread(setting.finished, metric)) is not None
                },
            }
            for setting in settings
        ],
    }


def _show(settings: Sequence[Setting], console: Console) -> None:
    choice, best = chosen(settings)
    measured = {
        metric for setting in settings for run in setting.finished for metric in run.metrics
    }
    first = [] if choice.validation is None else [choice.validation.metric]
    metrics = [
        *first,
        *(metric for metric in SHOWN_METRICS if metric in measured and metric not in first),
    ]
    marked = (
        "best"
        if all(len(setting.finished) == len(setting.jobs) for setting in settings)
        else "best so far"
    )
    rows = [
        [
            " ".join(setting.words) or "all jobs",
            f"{len(setting.finished)}/{len(setting.jobs)}",
            *(str(spread(setting.finished, metric) or "") for metric in metrics),
            duration(statistics.fmean(seconds)) if (seconds := setting.facts("seconds")) else "",
            f"{max(memory) / 2**20:.0f} MiB"
            if (memory := setting.facts("peak_memory_bytes"))
            else "",
            marked if setting is best else "",
        ]
        for setting in settings
    ]
    titles = [metric.replace("_", " ") for metric in metrics]
    console.table("", ["setting", "finished", *titles, "time a job", "memory", ""], rows)
    by = "" if choice.validation is None else f"by {titles[0]}, of validation"
    verdict = f"best {by}" if best else f"no best: {choice.reason}"
    console.say(f"mean ± standard deviation over seeds; {verdict}")
