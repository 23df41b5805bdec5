"""Writes runs for trackio: into `<outputs>/trackio`, or to the Space of TRACKIO_SPACE_ID."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sslcli.text import shell_path
from sslcli.trackers.tracker import Record, TrackedRun, Tracker, project


class Trackio(Tracker):
    """Writes into trackio's SQLite file in runtime.outputs."""

    modules = ("trackio",)
    extra = "sslcli[trackio]"
    variables = ("TRACKIO_DIR", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_PROJECT")

    def __init__(self, run: TrackedRun) -> None:
        self._trackio: Any = import_module("trackio")
        self._project = project("TRACKIO_PROJECT")
        self._run = self._trackio.init(
            project=self._project,
            name=f"{run.name}-{run.key}".replace("/", "-"),
            group=run.sweep,
            config={"command": run.command, **run.settings},
            resume="allow",
            embed=False,
            auto_log_cpu=False,
        )

    @classmethod
    def prepare(cls, run: TrackedRun) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(run.outputs / "trackio"))
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

    @property
    def look(self) -> str:
        folder = shell_path(Path(os.environ["TRACKIO_DIR"]))
        return f"TRACKIO_DIR={folder} trackio show --project {shell_path(self._project)}"

    def record(self, record: Record) -> None:
        self._run.log({**record.values, f"{record.phase}/epoch": record.epoch}, step=record.step)

    def figure(self, name: str, path: Path, step: int) -> None:
        self._run.log({f"figures/{name}": self._trackio.Image(str(path))}, step=step)

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], step: int
    ) -> None:
        table = self._trackio.Table(columns=list(columns), data=[list(row) for row in rows])
        self._run.log({f"tables/{name}": table}, step=step)

    def finish(self, status: str, metrics: Mapping[str, float]) -> None:
        self._run.log({"status": status, **metrics})
        self._run.finish()

    def close(self) -> None:
        self._run.finish()
