"""Writes runs for MLflow: a SQLite file beside the runs, or the server of MLFLOW_TRACKING_URI."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sslcli.files import replacing
from sslcli.system import HeldFile
from sslcli.text import shell_quoted
from sslcli.trackers.tracker import Record, TrackedRun, Tracker, as_csv, project

FILE = "mlflow.db"
KEY, SWEEP = "sslcli.run", "sslcli.sweep"
"""Tags by which a run, and the run above those of a sweep, are found again."""
STATUS = {"finished": "FINISHED", "interrupted": "KILLED"}
MOST_AT_ONCE, LONGEST = 100, 500
"""Settings that MLflow takes at once, and characters of one."""


class MLflow(Tracker):
    """Writes into MLflow's SQLite file in runtime.outputs, or to a server."""

    modules = ("mlflow", "mlflow.store.tracking.sqlalchemy_store")
    extra = "sslcli[mlflow]"
    variables = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")

    def __init__(self, run: TrackedRun) -> None:
        mlflow = import_module("mlflow")
        self._entities = import_module("mlflow.entities")
        server = os.environ.get("MLFLOW_TRACKING_URI")
        self._uri = server or f"sqlite:///{run.outputs / FILE}"
        self._client = mlflow.MlflowClient(tracking_uri=self._uri)
        with _alone(run.outputs):
            experiment = self._experiment(run)
            self._sweep = self._sweep_run(run, experiment) if run.sweep else None
            self._run = self._find(experiment, KEY, run.key) or self._start(run, experiment)
        self._client.update_run(self._run, status="RUNNING")

    @classmethod
    def prepare(cls, run: TrackedRun) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

    @classmethod
    def make(cls, run: TrackedRun) -> None:
        """Makes the SQLite file whole or not at all, which takes seconds."""
        if os.environ.get("MLFLOW_TRACKING_URI"):
            return
        path = run.outputs / FILE
        with _alone(run.outputs):
            if path.exists():
                return
            store = import_module("mlflow.store.tracking.sqlalchemy_store")
            for torn in run.outputs.glob(f".{FILE}.*.tmp-journal"):  # of a killed process
                torn.unlink()
            with replacing(path) as temporary:
                artifacts = (run.outputs / "mlartifacts").as_uri()
                made = store.SqlAlchemyStore(f"sqlite:///{temporary}", artifacts)
                made.engine.dispose()

    @property
    def look(self) -> str:
        if self._uri.startswith("sqlite:"):
            return f"mlflow ui --backend-store-uri {shell_quoted(self._uri)}"
        return self._uri

    def record(self, record: Record) -> None:
        self._log(record.values, record.step)

    def figure(self, name: str, path: Path, step: int) -> None:
        folder = Path("figures", name).parent.as_posix()
        self._client.log_artifact(self._run, str(path), folder)

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], step: int
    ) -> None:
        self._client.log_text(self._run, as_csv([columns, *rows]), f"tables/{name}.csv")

    def finish(self, status: str, metrics: Mapping[str, float]) -> None:
        self._log(metrics, 0)
        self._client.set_terminated(self._run, STATUS.get(status, "FAILED"))
        if self._sweep is not None:
            self._client.set_terminated(self._sweep, "FINISHED")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        metrics = [
            self._entities.Metric(_allowed(name), value, now, step)
            for name, value in values.items()
        ]
        self._client.log_batch(self._run, metrics=metrics)

    def _experiment(self, run: TrackedRun) -> str:
        name = project("MLFLOW_EXPERIMENT_NAME")
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        local = self._uri.startswith("sqlite:")
        artifacts = (run.outputs / "mlartifacts").as_uri() if local else None
        return str(self._client.create_experiment(name, artifacts))

    def _find(self, experiment: str, tag: str, value: str) -> str | None:
        """Returns the number of the run with the tag."""
        found = self._client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _start(self, run: TrackedRun, experiment: str) -> str:
        tags = {KEY: run.key, "sslcli.command": run.command, "sslcli.folder": str(run.folder)}
        if self._sweep is not None:
            tags["mlflow.parentRunId"] = self._sweep
        began = int(1000 * run.begun)
        made = self._client.create_run(experiment, began, tags, run_name=run.name)
        number = str(made.info.run_id)
        settings = [
            self._entities.Param(_allowed(key), str(value)[:LONGEST])
            for key, value in run.settings.items()
        ]
        for at in range(0, len(settings), MOST_AT_ONCE):
            self._client.log_batch(number, params=settings[at : at + MOST_AT_ONCE])
        return number

    def _sweep_run(self, run: TrackedRun, experiment: str) -> str:
        """Returns the run above those of the sweep, which is made for its first job."""
        sweep = str(run.folder.parent)
        value = re.sub(r"[^\w./-]", "_", sweep)
        found = self._find(experiment, SWEEP, value)
        if found is not None:
            return found
        tags = {SWEEP: value, "sslcli.command": run.command, "sslcli.folder": sweep}
        made: Any = self._client.create_run(experiment, None, tags, run_name=run.sweep)
        return str(made.info.run_id)


@contextlib.contextmanager
def _alone(outputs: Path) -> Iterator[None]:
    """Lets one process at a time in: two jobs of a sweep must not both make what is not there."""
    outputs.mkdir(parents=True, exist_ok=True)
    lock = HeldFile(outputs / ".mlflow.lock")
    try:
        lock.wait()
        yield
    finally:
        lock.release()


def _allowed(name: str) -> str:
    """Returns the name without characters that MLflow refuses."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)
