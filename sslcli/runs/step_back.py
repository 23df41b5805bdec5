"""Goes back to the checkpoint before one that is damaged or missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from sslcli.errors import SslcliError
from sslcli.runs.checkpoint import Damaged, read_checkpoint
from sslcli.runs.folder import Run
from sslcli.runs.phases import LAST, PREVIOUS, RESULT, Span, spans, without_last
from sslcli.text import shell_path


class _Position(NamedTuple):
    """States how far a phase is, and the bytes of metrics.jsonl up to there.

    `earlier` is the checkpoint to go back to, if there is one.
    """

    size: int
    step: int = 0
    earlier: Path | None = None


def step_back(run: Run) -> list[str]:
    """Replaces a run's damaged or missing checkpoints by earlier ones; returns a report.

    The report is a list of sentences. A phase goes back to its newest readable checkpoint, or to
    its beginning, and later phases are trained again. Only time is lost: a step is a pure function
    of what came before. Raises SslcliError where no checkpoint is damaged or missing.
    """
    folder, records = run.folder, spans(run.folder)
    whole = _whole_phases(folder, records)
    broken = {
        name: _before(folder, name, records) for name, there in whole.items() if there is None
    }
    noted = run.facts.get("trained", {})
    broken |= {name: _before(folder, name, records) for name in without_last(folder, noted)}
    if not broken:
        message = f"every checkpoint of {folder} can be read: there is nothing to step back from"
        raise SslcliError(message, f"leave --from-previous out: sslcli resume {shell_path(folder)}")
    kept = min(position.size for position in broken.values())
    run.keep_metrics(kept)  # raises before anything is removed
    later = {name: there for name, there in whole.items() if there and there.size > kept}
    anew = {
        name: there
        for name, there in {**later, **broken}.items()
        if there.earlier is None or there.size > kept
    }
    run.update(
        status="interrupted", trained={name: noted[name] for name in noted if name not in anew}
    )
    # The last phase first: killed in between, the run still has a broken one to step back from.
    for name in sorted(anew, key=lambda name: -anew[name].size):
        shutil.rmtree(folder / name, ignore_errors=not (folder / name).exists())
    for name, there in broken.items():
        if there.earlier is not None and name not in anew:
            there.earlier.replace(folder / name / LAST)
    run.cut_metrics(kept)
    return [
        f"{name} begins anew" if name in anew else f"{name} goes on from step {there.step}"
        for name, there in sorted({**later, **broken}.items(), key=lambda each: each[1].size)
    ]


def _whole_phases(folder: Path, records: dict[str, Span]) -> dict[str, _Position | None]:
    """Returns where each phase with a last checkpoint is; None where that is damaged.

    A phase may have its result alone left: then it was finished.
    """
    done = {name: span for name, span in records.items() if (folder / name / RESULT).exists()}
    return {
        **{name: _Position(span.end) for name, span in done.items()},
        **{
            last.parent.relative_to(folder).as_posix(): _position(last)
            for last in sorted(folder.rglob(LAST))
        },
    }


def _position(path: Path) -> _Position | None:
    """Returns where a checkpoint is; None where it is damaged."""
    try:
        content = read_checkpoint(path)
    except Damaged:
        return None
    return _Position(content["metrics_size"], content["step"], path)


def _before(folder: Path, name: str, records: dict[str, Span]) -> _Position:
    """Returns a phase's newest readable earlier checkpoint, or its beginning."""
    for checkpoint in sorted((folder / name).glob(PREVIOUS), reverse=True):
        position = _position(checkpoint)
        if position is not None:
            return position
    end = max((span.end for span in records.values()), default=0)
    return _Position(records[name].begin if name in records else end)
