"""Reads and writes a run's folder: its history, and what is needed to resume it.

Does not import torch.

    config.yaml        the complete config
    overrides.yaml     what the user typed
    run.json           status, identity, code, derived values, environment, final metrics
    metrics.jsonl      one JSON object a record; its key `timing` holds what depends on the machine
    <phase>/last.pt    the newest checkpoint (see runs/checkpoint.py)
    log.txt            messages, warnings and progress
    figures/           pictures of the run
    snapshots/         the encoders of chosen epochs, a folder each
    trackers/          what trackers have got (see trackers/sent.py)

A file that others read is replaced completely or not at all. Only metrics.jsonl grows; a resumed
run cuts it back to the checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from sslcli.errors import SslcliError
from sslcli.files import TEMPORARY, write_atomically
from sslcli.runs.lock import HOST, Lock

_KINDS: dict[str, Any] = {
    **dict.fromkeys(("status", "command", "host"), str),
    **dict.fromkeys(("started", "seconds", "processor_seconds"), (int, float)),
    "verdict": list,
    **dict.fromkeys(("choices", "code", "files", "encoders", "metrics", "data"), dict),
    **dict.fromkeys(("derived", "trained", "environment"), dict),
}
"""The types of those entries of run.json that other code reads."""


@dataclass(frozen=True)
class Validation:
    """Names the metric on validation data by which a command's runs are compared."""

    metric: str
    larger_is_better: bool = True
    given: str | None = None
    """Metric of the input before restoring, e.g. damaged_psnr.

    Two runs are comparable only if it is equal.
    """


class Run:
    """Represents an open run folder, locked against other processes.

    A context manager: inside, other machines see too that a process works on the run.
    """

    def __init__(self, folder: Path) -> None:
        _require_no_way_out(folder)
        self.folder = folder
        self.figures = folder / "figures"
        self._lock = Lock(folder)
        _remove_torn_files(folder)
        self._metrics: IO[bytes] | None = None
        self.metrics_floor = 0
        """Bytes of metrics.jsonl that belong to finished phases; nothing cuts below it."""
        before = self.facts if self._facts_path.exists() else {}
        self._seconds_before = float(before.get("seconds", 0.0))
        self._processor_before = float(before.get("processor_seconds", 0.0))
        self._opened, self._processor_opened = time.monotonic(), time.process_time()

    def __enter__(self) -> Run:
        self._lock.keep_touched()
        return self

    def __exit__(self, *_: object) -> None:
        if self._metrics is not None:
            with contextlib.suppress(OSError):  # records are flushed: `record` raised it already
                self._metrics.close()
        self._lock.release()

    @classmethod
    def create(cls, folder: Path, files: dict[str, str], facts: dict[str, Any]) -> Run:
        """Creates a run in a new folder and returns it open; `facts` become run.json."""
        run = cls(folder)
        for name, text in files.items():
            write_atomically(folder / name, text.encode())
        write_atomically(run._facts_path, _json({**facts, "host": HOST}))
        return run

    @property
    def _facts_path(self) -> Path:
        return self.folder / "run.json"

    @property
    def facts(self) -> dict[str, Any]:
        return read_facts(self.folder)

    @property
    def seconds(self) -> float:
        """Returns the time spent on this run in all its sessions."""
        return self._seconds_before + time.monotonic() - self._opened

    @property
    def processor_seconds(self) -> float:
        """Returns the time that all processors worked on it: other programs do not add to it."""
        return self._processor_before + time.process_time() - self._processor_opened

    def update(self, **facts: object) -> None:
        """Sets entries of run.json, and updates `host` and both kinds of seconds."""
        current = {
            "host": HOST,
            "seconds": round(self.seconds, 3),
            "processor_seconds": round(self.processor_seconds, 3),
        }
        write_atomically(self._facts_path, _json({**self.facts, **facts, **current}))

    def finish(
        self, metrics: dict[str, float], validation: Validation | None, **facts: object
    ) -> None:
        """Writes the last entries of run.json.

        `validation`: the one of `metrics` by which runs are compared; never one of the test part.
        """
        assert validation is None or validation.metric in metrics, (
            f"{validation} is not among {list(metrics)}"
        )
        chosen_by = None if validation is None else asdict(validation)
        self.update(status="finished", metrics=metrics, validation=chosen_by, **facts)

    def record(self, record: dict[str, Any]) -> None:
        """Appends a record to metrics.jsonl."""
        if self._metrics is None:
            self.cut_metrics(self.metrics_floor)
        assert self._metrics is not None
        self._metrics.write((json.dumps(record, allow_nan=False) + "\n").encode())
        self._metrics.flush()

    def metrics_size(self) -> int:
        """Flushes metrics.jsonl to the disk; returns its bytes, which checkpoints store."""
        if self._metrics is None:
            self.cut_metrics(self.metrics_floor)
        assert self._metrics is not None
        os.fsync(self._metrics.fileno())
        return self._metrics.tell()

    def cut_metrics(self, size: int) -> None:
        """Cuts the records after the first `size` bytes, which will be written again."""
        self.keep_metrics(size)
        if self._metrics is not None:
            self._metrics.close()
        self._metrics = (self.folder / "metrics.jsonl").open("ab")
        self._metrics.truncate(size)
        self._metrics.seek(0, os.SEEK_END)

    def keep_metrics(self, size: int) -> None:
        """Protects the first `size` bytes of the records from `cut_metrics`.

        Raises SslcliError where the file has fewer bytes, or no record ends there.
        """
        path = self.folder / "metrics.jsonl"
        present = path.stat().st_size if path.exists() else 0
        if present < size:
            message = (
                f"{path} has {present} bytes, "
                f"but the checkpoint was saved after {size}: records are missing"
            )
            raise SslcliError(message, "restore the file from a copy, or start a new run")
        if size and not _ends_line(path, size):
            message = f"{path}: no record ends at byte {size}, where the checkpoint was saved"
            raise SslcliError(
                message, "put back the run's own file and checkpoint, or start a new run"
            )
        self.metrics_floor = size


def _ends_line(path: Path, size: int) -> bool:
    """Tells whether the first `size` bytes of a file end with a line."""
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def _remove_torn_files(folder: Path) -> None:
    """Removes the temporary files of a killed process; this process holds the lock."""
    for path in folder.glob(".*.tmp"):
        if TEMPORARY.fullmatch(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


def _require_no_way_out(folder: Path) -> None:
    """Raises SslcliError for a link that leads a write out of the folder."""
    inside = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                message = f"{path} is a link out of the run's folder, to {path.readlink()}"
                raise SslcliError(
                    message,
                    "put what it links to in its place: nothing outside the folder is written",
                )


def read_facts(folder: Path) -> dict[str, Any]:
    """Reads a run's run.json; raises SslcliError where it is missing or damaged."""
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text())
    except FileNotFoundError:
        raise SslcliError(
            f"{folder} is not a run: it has no run.json", "`sslcli runs` lists the runs"
        ) from None
    except OSError as reason:
        message = f"{path} cannot be read: {reason.strerror or reason}"
        raise SslcliError(
            message, "make it a file that you may read, or move its folder away"
        ) from None
    except ValueError as reason:
        raise _unreadable(path, str(reason)) from None
    if not isinstance(facts, dict):
        raise _unreadable(path, "it holds no facts")
    wrong = [
        name for name, kind in _KINDS.items() if name in facts and not isinstance(facts[name], kind)
    ]
    if wrong:
        raise _unreadable(path, f"{', '.join(wrong)} cannot be so")
    return facts


def _unreadable(path: Path, reason: str) -> SslcliError:
    return SslcliError(
        f"{path} cannot be read: {reason}", "restore the file from a copy, or start a new run"
    )


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Reads the records of metrics.jsonl, without a last line that a crash cut off.

    Raises SslcliError where the file is damaged.
    """
    path = folder / "metrics.jsonl"
    try:
        lines = path.read_text().split("\n") if path.exists() else []
        records = [json.loads(line) for line in lines[:-1]]
    except (OSError, ValueError) as reason:
        raise _unreadable(path, str(reason)) from None
    if not all(isinstance(record, dict) for record in records):
        raise _unreadable(path, "it holds what is no record")
    return records


def _json(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, indent=2, allow_nan=False) + "\n").encode()
