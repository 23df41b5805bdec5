"""Keeps a run's encoder after chosen epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sslcli.experiments.pretrain_config import Config
from sslcli.method import Evaluate, Method
from sslcli.runs.snapshots import snapshot_folder
from sslcli.trained.encoder import write_encoder

Keep: TypeAlias = Callable[[int], None]
"""Keeps the encoder, where the config says so, given the steps done."""


def keeper(config: Config, run: Path, method: Method, steps_per_epoch: int, labels: int) -> Keep:
    """Returns what writes a snapshot of the method's encoder into the run's folder."""

    def keep(step: int) -> None:
        epoch, within = divmod(step, steps_per_epoch)
        if within or not config.keeps(epoch):
            return
        folder = snapshot_folder(run, epoch)
        folder.mkdir(parents=True, exist_ok=True)
        shape = method.preprocessing
        write_encoder(folder, method.encoder, config.encoder, shape, config.seed, labels)

    return keep


def keep_before(keep: Keep, evaluate: Evaluate) -> Evaluate:
    """Returns an evaluation that keeps the encoder first.

    The loop evaluates after every epoch, before it saves its checkpoint. A run that is killed in
    between evaluates that epoch again, and so writes the same snapshot once more.
    """

    def both(step: int) -> dict[str, float]:
        keep(step)
        return evaluate(step)

    return both


def best_epoch(records: Sequence[dict[str, Any]], kept: Sequence[int]) -> str | None:
    """Names the epoch with the best kNN on validation, and how its encoder is had.

    None where it is the last one, or kNN was not measured. `kept`: epochs that have a snapshot.
    """
    found = [
        (int(record["epoch"]), record["knn_accuracy"])
        for record in records
        if record["epoch"] > 0 and "knn_accuracy" in record
    ]
    if not found:
        return None
    last, at_end = found[-1]
    epoch, accuracy = max(found, key=lambda pair: (pair[1], pair[0]))
    if epoch == last:
        return None
    there = f"at={epoch} evaluates it" if epoch in kept else f"snapshots=[{epoch}] keeps it"
    after = f"best after epoch {epoch}, {100 * accuracy:.2f} %"
    return f"kNN on validation was {after} ({100 * at_end:.2f} % at the end): {there}"
