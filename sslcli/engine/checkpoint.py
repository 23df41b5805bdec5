"""Checkpoints of a phase of a run: `<run>/<phase>/last.pt`, and the ones before it as `step-<step>.pt`."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from sslcli.engine.run import Run, replacing
from sslcli.errors import RunFailed, SslcliError

FORMAT = 2


class Phase:
    """A named stretch of a run's training, with its checkpoints. A run has one phase, or several one after another."""

    def __init__(self, run: Run, name: str, keep_last: int) -> None:
        self.run = run
        self.name = name
        self._folder = run.folder / name
        self._keep_last = keep_last
        self._saved_step: int | None = None

    @property
    def last(self) -> Path:
        return self._folder / "last.pt"

    def save(self, step: int, state: dict[str, Any], finished: bool) -> None:
        """The one moment in which records and state become durable together. `finished`: the phase ends here."""
        self._folder.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "format": FORMAT,
            "phase": self.name,
            "step": step,
            "finished": finished,
            "metrics_size": self.run.metrics_size(),
            "state": state,
        }
        try:
            with replacing(self.last) as temporary:
                torch.save(content, temporary)
                self._keep_previous()
        except (OSError, RuntimeError) as reason:  # torch reports a full disk as a RuntimeError
            message = f"the checkpoint of step {step} could not be written to {self._folder}: {_first_line(reason)}"
            raise RunFailed(message, f"free some space, then: sslcli resume '{self.run.folder}'") from reason
        self._saved_step = step
        self.run.metrics_floor = content["metrics_size"]
        self._prune()

    def restore(self) -> tuple[int, dict[str, Any], bool] | None:
        """The newest checkpoint's step and state, and whether the phase is finished; None where there is none yet.

        The run's records are cut back to it. What comes after a finished phase is for the later ones to cut.
        """
        if not self.last.exists():
            self.run.cut_metrics(self.run.metrics_floor)
            return None
        content = read_checkpoint(self.last)
        if content["phase"] != self.name:
            raise SslcliError(
                f"{self.last} is a checkpoint of phase {content['phase']!r}", f"put back that of {self.name!r}"
            )
        if content["finished"]:
            self.run.keep_metrics(content["metrics_size"])
        else:
            self.run.cut_metrics(content["metrics_size"])
        self._saved_step = content["step"]
        return content["step"], content["state"], content["finished"]

    def pass_over(self) -> None:
        """The phase is done with, or left no checkpoint: its records, where it has some, are there to stay."""
        if self.last.exists():
            self.run.keep_metrics(read_checkpoint(self.last)["metrics_size"])

    def _keep_previous(self) -> None:
        if self._saved_step is None or self._keep_last < 2:
            return
        previous = self._folder / f"step-{self._saved_step:08d}.pt"
        previous.unlink(missing_ok=True)
        try:
            os.link(self.last, previous)
        except OSError:  # a file system without links
            shutil.copyfile(self.last, previous)

    def _prune(self) -> None:
        for old in sorted(self._folder.glob("step-*.pt"))[: -(self._keep_last - 1) or None]:
            old.unlink()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Raises SslcliError where the file is damaged, or was not written by this version of the format."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as reason:
        before = sorted(path.parent.glob("step-*.pt"))
        fix = "the run has no earlier checkpoint: start it again with `sslcli rerun`"
        if before:
            fix = f"go on from the one before it: mv '{before[-1]}' '{path}', then resume"
        raise SslcliError(f"{path} cannot be read as a checkpoint ({_first_line(reason)})", fix) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        message = f"{path} has checkpoint format {found!r}; this version of sslcli reads format {FORMAT}"
        raise SslcliError(message, "resume it with the version that wrote it (run.json names it), or run it again")
    return content


def _first_line(reason: Exception) -> str:
    with contextlib.suppress(IndexError):
        return str(reason).splitlines()[0][:100]
    return type(reason).__name__
