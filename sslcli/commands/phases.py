"""How a learner is trained in a phase of a run: what pretraining, a stack's layers and a classifier have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sslcli.commands.recording import Recording
from sslcli.engine.checkpoint import Phase
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim import OptimConfig
from sslcli.engine.run import Run
from sslcli.engine.train import Batch, Periods, Pictures, Views, Watch, train
from sslcli.method import Evaluate, Learner

if TYPE_CHECKING:
    from sslcli.console import Console


def train_phase(
    name: str,
    learner: Learner[Batch, Views],
    pictures: Pictures[Batch],
    optim: OptimConfig,
    evaluate: Evaluate,
    num_steps: int,
    *,
    recording: Recording,
    run: Run,
    compute: Compute,
    seed: int,
    console: Console,
    label: str | None = None,
    fewest_steps: int = 1,
    watched: Callable[[Watch], Watch] = lambda watch: watch,
) -> float:
    """Trains from the phase's last checkpoint, or from the start; returns images per second (see `train`).

    `label` is what a person sees, the phase's name by default; `fewest_steps` lie between two evaluations, else an epoch, and
    between two checkpoints; `watched` wraps who looks on.
    """
    in_epoch = pictures.steps_per_epoch
    evaluate_every = max(fewest_steps, in_epoch)
    save_every = max(fewest_steps, round(recording.save_every * in_epoch))
    with console.training(label or name, num_steps) as watch:
        return train(
            learner,
            pictures,
            Minimizer.of(learner, optim, compute),
            lambda step: optim.learning_rate(step, num_steps, in_epoch, pictures.batch_size),
            evaluate,
            Phase(run, name, recording.keep_last),
            Periods(num_steps, recording.log_every, evaluate_every, save_every),
            compute,
            seed,
            watched(watch),
        )
