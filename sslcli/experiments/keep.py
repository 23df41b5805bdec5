"""Keeps a run's encoder after chosen epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

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
