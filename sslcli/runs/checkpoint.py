"""Writes and reads a phase's checkpoints.

The newest is `<run>/<phase>/last.pt`, earlier ones are `step-<step>.pt`.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch

from sslcli.errors import RunFailed, SslcliError, is_out_of_memory
from sslcli.files import replacing
from sslcli.runs.folder import Run
from sslcli.runs.phases import LAST, PREVIOUS, spans, without_last
from sslcli.text import first_line, shell_path

FORMAT = 2
PARTS = {
    "format": int,
    "phase": str,
    "step": int,
    "finished": bool,
    "metrics_size": int,
    "state": dict,
}


class Damaged(SslcliError):
    """Reports a checkpoint that cannot be read."""


class Trained(NamedTuple):
    """States how much of a phase was trained, and how long that took."""

    images: int
    seconds: float


class Phase:
    """Saves and restores a named part of a run's training.

    A run has one or more phases in turn, each with checkpoints of its own. The random numbers of
    every step are derived from `seed` and `name`.
    """

    def __init__(self, run: Run, name: str, keep_last: int, seed: int) -> None:
        self.run = run
        self.name = name
        self.seed = seed
        self._folder = run.folder / name
        self._keep_last = keep_last
        self._saved_step: int | None = None

    @property
    def last(self) -> Path:
        return self._folder / LAST

    def save(self, step: int, state: dict[str, Any], finished: bool) -> None:
        """Writes a checkpoint; records and state become durable at this moment, together.

        `finished`: the phase ends here. Raises RunFailed where the disk refuses.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "format": FORMAT,
            "run_started": self.run.facts.get("started"),
            "phase": self.name,
            "step": step,
            "finished": finished,
            "metrics_size": self.run.metrics_size(),
            "state": state,
        }
        try:
            with replacing(self.last) as temporary:
                with temporary.open("wb") as written:  # of a path torch stores the name
                    torch.save(content, written)
                self._keep_previous()
        except (OSError, RuntimeError) as reason:  # torch reports a full disk as a RuntimeError
            message = (
                f"the checkpoint of step {step} could not be written to {self._folder}: "
                f"{first_line(reason, 100)}"
            )
            raise RunFailed(
                message, f"free some space, then: sslcli resume {shell_path(self.run.folder)}"
            ) from reason
        self._saved_step = step
        self.run.metrics_floor = content["metrics_size"]
        self._prune()

    def restore(self) -> tuple[int, dict[str, Any], bool] | None:
        """Returns the last checkpoint's step and state and whether the phase is finished.

        None without one. Cuts the records after it; after a finished phase, later phases do so.
        Raises Damaged where the checkpoint is missing, before any record is cut.
        """
        for torn in self._folder.glob(f".{LAST}.*.tmp"):  # a process died while it wrote
            torn.unlink()
        if not self.last.exists():
            noted = self.run.facts.get("trained", {})
            if self.name in without_last(self.run.folder, noted, self.run.metrics_floor):
                raise _damaged(
                    f"{self.last} is missing, and the run has saved it before", self.last
                )
            self.run.cut_metrics(self.run.metrics_floor)
            return None
        content = read_checkpoint(self.last)
        self._require_own(content)
        if content["finished"]:
            self.run.keep_metrics(content["metrics_size"])
        else:
            self.run.cut_metrics(content["metrics_size"])
        self._saved_step = content["step"]
        return content["step"], content["state"], content["finished"]

    def _require_own(self, content: dict[str, Any]) -> None:
        """Raises SslcliError for a checkpoint of another phase, or of another run.

        The time at which a run began is its own; versions before 0.2.0 did not store it.
        """
        if content["phase"] != self.name:
            message = f"{self.last} is a checkpoint of phase {content['phase']!r}"
            raise SslcliError(message, f"put back that of {self.name!r}")
        ours, written = self.run.facts.get("started"), content.get("run_started")
        if None not in (ours, written) and ours != written:
            message = f"{self.last} is another run's, begun at {written}; this one began at {ours}"
            resume = f"sslcli resume {shell_path(self.run.folder)} --from-previous"
            raise SslcliError(message, f"put back its own, or remove this one, then: {resume}")

    def note(self, step: int, total: Trained) -> None:
        """Writes the phase's progress into run.json."""
        trained = {**self.run.facts.get("trained", {}), self.name: total._asdict()}
        self.run.update(status="running", step=step, trained=trained)

    def trained(self) -> Trained:
        """Returns the progress in run.json; zero where the phase has no checkpoint."""
        progress = self.run.facts.get("trained", {}).get(self.name)
        return Trained(**progress) if progress and self.last.exists() else Trained(0, 0.0)

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
        for old in sorted(self._folder.glob(PREVIOUS))[: -(self._keep_last - 1) or None]:
            old.unlink()


def skip_finished(run: Run, phase: str) -> None:
    """Protects a finished phase's records from being cut by later phases.

    Its result is there, so its checkpoint may be missing.
    """
    last = run.folder / phase / LAST
    if last.exists():
        run.keep_metrics(read_checkpoint(last)["metrics_size"])
    else:
        records = spans(run.folder, run.metrics_floor).get(phase)
        run.keep_metrics(run.metrics_floor if records is None else records.end)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint; raises Damaged, or SslcliError for another format.

    Raises RunFailed where memory runs out: that tells nothing about the file.
    """
    try:
        content = _unpacked(path)
    except (MemoryError, RuntimeError) as reason:
        if not is_out_of_memory(reason):
            raise
        message = f"memory ran out while {path} was read: {first_line(reason, 100)}"
        raise RunFailed(message, "free memory, then try again; the file stays as it is") from reason
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        kind = content.get("format") if isinstance(content, dict) else type(content).__name__
        message = (
            f"{path} has checkpoint format {kind!r}; this version of sslcli reads format {FORMAT}"
        )
        raise SslcliError(
            message, "resume it with the version that wrote it (run.json names it), or run it again"
        )
    wrong = [part for part, kind in PARTS.items() if not isinstance(content.get(part), kind)]
    wrong += [part for part in ("step", "metrics_size") if part not in wrong and content[part] < 0]
    if wrong:
        message = (
            f"{path} is not a checkpoint of sslcli: {', '.join(wrong)} missing, or of another kind"
        )
        raise SslcliError(
            message, "put the run's own file back, or run it again with `sslcli rerun`"
        )
    return content


def _unpacked(path: Path) -> Any:
    """Returns what a checkpoint holds; raises Damaged where it cannot be read."""
    written = io.BytesIO(path.read_bytes())
    try:
        _require_whole(written)
        return torch.load(written, map_location="cpu", weights_only=True)
    except Exception as reason:  # zipfile, pickle and torch may raise anything
        if is_out_of_memory(reason):
            raise
        message = f"{path} cannot be read as a checkpoint ({first_line(reason, 100)})"
        raise _damaged(message, path) from None


def _damaged(message: str, path: Path) -> Damaged:
    run = next((folder for folder in path.parents if (folder / "run.json").exists()), path.parent)
    resume = f"sslcli resume {shell_path(run)} --from-previous"
    return Damaged(message, f"go on from the one before it: {resume}")


def _require_whole(written: BinaryIO) -> None:
    """Raises ValueError where a byte does not match the archive's checksums.

    torch.load does not check them: it would return flipped bits as weights.
    """
    with zipfile.ZipFile(written) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"the checksum of its part {broken} is wrong")
    written.seek(0)
