"""Writes runs for Weights & Biases: into `<outputs>/wandb`, or online with WANDB_MODE=online."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sslcli.text import shell_path
from sslcli.trackers.tracker import Record, TrackedRun, Tracker, project


class WeightsAndBiases(Tracker):
    """Writes offline files in runtime.outputs, to be sent by `wandb sync`."""

    modules = ("wandb",)
    extra = "sslcli[wandb]"
    variables = ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_BASE_URL")

    def __init__(self, run: TrackedRun) -> None:
        self._wandb: Any = import_module("wandb")
        self._files = f"{shell_path(run.outputs / 'wandb')}/offline-run-*-{run.key}"
        self._step = run.given
        """Of what is written next: wandb drops what does not lie behind all that it has got."""
        self._run = self._wandb.init(
            project=project("WANDB_PROJECT"),
            id=run.key,
            name=run.name,
            group=run.sweep,
            job_type=run.command,
            dir=str(run.outputs),  # not the run's: it makes links out of where it is
            config=run.settings,
            mode=os.environ["WANDB_MODE"],
            resume="allow",
            settings=self._wandb.Settings(console="off", silent=True, save_code=False),
        )
        self._phases: set[str] = set()

    @classmethod
    def prepare(cls, run: TrackedRun) -> None:
        if os.environ.setdefault("WANDB_MODE", "offline") == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

    @property
    def look(self) -> str:
        if os.environ["WANDB_MODE"] == "offline":
            return f"wandb sync {self._files}"
        return str(self._run.url)

    def record(self, record: Record) -> None:
        if record.phase not in self._phases:
            self._run.define_metric(f"{record.phase}/*", step_metric=f"{record.phase}/step")
            self._phases.add(record.phase)
        position = {f"{record.phase}/step": record.step, f"{record.phase}/epoch": record.epoch}
        self._log({**position, **record.values})

    def figure(self, name: str, path: Path, step: int) -> None:
        self._log({f"figures/{name}": self._wandb.Image(str(path))})

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], step: int
    ) -> None:
        table = self._wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        self._log({f"tables/{name}": table})

    def finish(self, status: str, metrics: Mapping[str, float]) -> None:
        self._run.summary.update({"status": status, **metrics})
        self._run.finish(exit_code=0 if status == "finished" else 1)

    def close(self) -> None:
        self._run.finish(exit_code=1)

    def _log(self, values: dict[str, Any]) -> None:
        self._run.log(values, step=self._step, commit=True)
        self._step += 1
