"""Opens the run, console, device and checked data that an experiment works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sslcli import processes
from sslcli.data.data_config import DataConfig
from sslcli.data.images import Splits
from sslcli.data.needs import require_labels, require_test
from sslcli.engine.device import Compute
from sslcli.engine.environment import environment
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.engine.slowdown import SlowdownAlarm
from sslcli.engine.tensorboard import tensorboard_writer
from sslcli.engine.threads import choose_threads
from sslcli.engine.train import Periods, Pictures, ProgressListener, train
from sslcli.evaluation.features import require_fit
from sslcli.experiments.recording_config import RecordingConfig
from sslcli.method import Evaluate, Learner
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run
from sslcli.text import shell_path
from sslcli.trained.data import require_present, require_same_data, run_data_config
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console


@dataclass(frozen=True)
class Session:
    """Bundles what every step of an experiment needs. Made once."""

    run: Run
    console: Console
    compute: Compute
    splits: Splits

    @property
    def figures(self) -> Path:
        """The run's folder of pictures, created on first use."""
        self.run.figures.mkdir(exist_ok=True)
        return self.run.figures

    @property
    def classes(self) -> list[str]:
        """The names of the classes; their numbers where the data name none."""
        return list(self.splits.classes or map(str, range(self.splits.num_classes)))


@dataclass(frozen=True)
class Training:
    """States what is trained, on which batches, by which optimizer, for how many steps."""

    learner: Learner[Any, Any]
    pictures: Pictures[Any]
    optim: OptimConfig
    evaluate: Evaluate
    """Called with the number of steps done, once an epoch; measures validation."""
    num_steps: int
    seed: int
    fewest_steps: int = 1
    """Steps between two evaluations, and between two checkpoints, where an epoch has fewer."""


def open_session(run: Run, runtime: RuntimeConfig, data: DataConfig, console: Console) -> Session:
    """Chooses the device, joins the processes, loads the data; records all three in run.json.

    Raises SslcliError where the device is missing, or the data are not those of the run's start.
    """
    compute = Compute.choose(_with_threads(run, runtime, console))
    processes.join(compute.device.type)
    if runtime.tensorboard:
        run.mirror = tensorboard_writer(run.folder)
    if processes.rank():
        processes.from_first(None)  # rank 0 downloads, and decodes into a cache, alone
    if run.facts.get("data", {}).get("fingerprint"):
        fix = f"say where they are now: sslcli resume {shell_path(run.folder)} --data-root FOLDER"
        require_present(data, fix)
    splits = data.load(console.track)
    if not processes.rank():
        processes.from_first(None)
    resume = f"sslcli resume {shell_path(run.folder)} --allow-changed-data"
    require_same_data(run.folder, splits, f"go on with these: {resume}")
    for warning in splits.warnings:
        console.warn(warning)
    run.update(
        environment=environment(compute),
        data={
            "fingerprint": splits.fingerprint,
            "pictures": len(splits.pretraining),
            "warnings": list(splits.warnings),
        },
    )
    return Session(run, console, compute, splits)


def _with_threads(run: Run, runtime: RuntimeConfig, console: Console) -> RuntimeConfig:
    """Returns the config with the number of threads settled, and notes it in run.json.

    A resumed run keeps the number that it began with: results depend on it in their last digits.
    """
    threads, reason = runtime.threads or run.facts.get("threads"), None
    if not threads and "environment" in run.facts:  # begun by a version that left it to torch
        threads = torch.get_num_threads()
    if not threads:
        threads, reason = choose_threads()
    if reason is not None:
        console.say(reason)
    run.update(threads=threads)
    return replace(runtime, threads=threads)


def open_evaluation(
    command: str,
    run: Run,
    sources: Sequence[EncoderFiles],
    chosen: DataConfig | None,
    runtime: RuntimeConfig,
    console: Console,
    data_root: str | None = None,
) -> Session:
    """Opens a session that measures encoders on `chosen`, or on the first run's data.

    Raises SslcliError where these are not the runs' data, lack labels or a test part, or do not fit
    the encoders.
    """
    session = open_session(run, runtime, run_data_config(sources[0], chosen, data_root), console)
    require_labels(session.splits, command)
    require_test(session.splits, command)
    for source in sources:
        if chosen is None:
            otherwise = "name the data to evaluate on with data=…"
            require_same_data(source.folder, session.splits, otherwise)
        require_fit(session.splits.train.images, source.preprocessing)
    return session


def train_phase(
    session: Session,
    name: str,
    training: Training,
    recording: RecordingConfig,
    label: str | None = None,
    wrap_listener: Callable[[ProgressListener], ProgressListener] = lambda listener: listener,
) -> float:
    """Trains from the phase's last checkpoint, or from the start; returns images per second.

    `label`: the name that the console shows, by default the phase's.
    """
    pictures, optim, num_steps = training.pictures, training.optim, training.num_steps
    in_epoch = pictures.steps_per_epoch
    evaluate_every = max(training.fewest_steps, in_epoch)
    save_every = max(training.fewest_steps, round(recording.save_every * in_epoch))

    if optim.warmup_epochs * in_epoch > num_steps:
        session.console.warn(
            f"optim.warmup_epochs={optim.warmup_epochs:g} is longer than the training, "
            f"{num_steps / in_epoch:g} epochs: the learning rate rises to its very end"
        )

    def learning_rate(step: int) -> float:
        return optim.learning_rate(step, num_steps, in_epoch, pictures.batch_size)

    with session.console.training(label or name, num_steps) as listener:
        return train(
            training.learner,
            pictures,
            Minimizer.of(training.learner, optim, session.compute, learning_rate),
            training.evaluate,
            Phase(session.run, name, recording.keep_last, training.seed),
            Periods(num_steps, recording.log_every, evaluate_every, save_every),
            session.compute,
            wrap_listener(SlowdownAlarm(listener, session.console.warn)),
        )
