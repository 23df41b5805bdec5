"""Opens the run, console, device and checked data that an experiment uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from sslcli import processes
from sslcli.data.data_config import DataConfig
from sslcli.data.images import Splits
from sslcli.data.needs import require_labels, require_test
from sslcli.data.resize import splits_at
from sslcli.data.values import is_whole
from sslcli.engine.device import Compute, kept_precision
from sslcli.engine.environment import environment
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.replicas import Replicas
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.engine.shards import Shards
from sslcli.engine.slowdown import SlowdownAlarm
from sslcli.engine.threads import Threads, choose_threads
from sslcli.engine.train import Periods, Pictures, ProgressListener, train
from sslcli.engine.trial import fastest_threads
from sslcli.evaluation.features import require_fit
from sslcli.experiments.recording_config import RecordingConfig
from sslcli.method import Evaluate, Learner, Preprocessing
from sslcli.report.display import Display
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run
from sslcli.text import shell_path
from sslcli.trained.data import (
    load_splits,
    require_present,
    require_same_data,
    run_data_config,
    seen_in_training,
)
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console

Need: TypeAlias = Callable[[Splits, str], None]
"""Raises SslcliError where the data lack the labels that a command needs; takes its name."""


@dataclass(frozen=True)
class Session:
    """Bundles what every step of an experiment needs."""

    run: Run
    console: Console
    compute: Compute
    splits: Splits
    try_threads: bool = False
    """Whether the first training tries fewer threads."""

    @property
    def figures(self) -> Path:
        """Returns the run's folder of pictures, which is created on first use."""
        self.run.figures.mkdir(exist_ok=True)
        return self.run.figures

    @cached_property
    def display(self) -> Display:
        """Returns how the pictures are shown."""
        return Display.of(self.splits.val.images, self.splits.shown)

    @property
    def classes(self) -> list[str]:
        """Returns the names of the classes, or their numbers where the data name none."""
        return list(self.splits.classes or map(str, range(self.splits.num_classes)))


@dataclass(frozen=True)
class Training:
    """States what is trained, on which batches, by which optimizer, and how long."""

    learner: Learner[Any, Any]
    pictures: Pictures[Any]
    optim: OptimConfig
    evaluate: Evaluate
    """Measures validation, once an epoch; called with the number of steps done."""
    num_steps: int
    seed: int
    fewest_steps: int = 1
    """Least number of steps between evaluations, and between checkpoints, for short epochs."""
    evaluate_first: bool = False
    """Whether it also measures validation before the first step."""
    frozen_steps: int = 0
    """Number of first steps in which encoders do not learn."""


def open_session(
    run: Run,
    runtime: RuntimeConfig,
    data: DataConfig,
    console: Console,
    draws_crops: bool = False,
) -> Session:
    """Chooses the device, joins the processes, loads the data, and records all three.

    They are recorded in run.json. Pictures that are stored squeezed stay so for a method that
    `draws_crops`; else they are their middle squares. Raises SslcliError where the device is
    missing, or the data are not those of the run's start.
    """
    threads = _threads(run, runtime, console)
    compute = _compute(run, replace(runtime, threads=threads.number), console)
    processes.join(compute.device.type)
    # The first alone knows what a run began with, and `auto` may be another on its machine.
    compute = replace(compute, dtype=processes.from_first(compute.dtype))
    if processes.rank():
        processes.from_first(None)  # rank 0 alone downloads, and decodes into a cache
    if run.facts.get("data", {}).get("fingerprint"):
        fix = f"say where they are now: sslcli resume {shell_path(run.folder)} --data-root FOLDER"
        require_present(data, fix)
    splits = load_splits(data, console.track)
    if not processes.rank():
        processes.from_first(None)
    resume = f"sslcli resume {shell_path(run.folder)} --allow-changed-data"
    require_same_data(run.folder, splits, f"go on with these: {resume}")
    if splits.num_groups:
        counts = ", ".join(f"{count} in {part}" for part, count in splits.num_groups.items())
        console.say(f"groups: {counts}; none is in two of them")
    for warning in splits.warnings:
        console.warn(warning)
    run.update(
        environment=environment(compute),
        data={
            "fingerprint": splits.fingerprint,
            "pictures": len(splits.pretraining),
            "groups": splits.num_groups,
            "warnings": list(splits.warnings),
        },
    )
    if not draws_crops:
        splits = splits_at(splits, splits.train.resolution)
    try_threads = threads.open and compute.device.type == "cpu" and processes.size() == 1
    return Session(run, console, compute, splits, try_threads)


def _threads(run: Run, runtime: RuntimeConfig, console: Console) -> Threads:
    """Chooses the number of threads, and notes it in run.json.

    A resumed run keeps the number that it began with: results depend on it in their last digits.
    """
    number = runtime.threads or run.facts.get("threads")
    if not number and "environment" in run.facts:  # begun by a version that left it to torch
        number = torch.get_num_threads()
    threads = Threads(number) if number else choose_threads(run.facts.get("runs_at_once", 1))
    if threads.reason is not None:
        console.say(threads.reason)
    run.update(threads=threads.number)
    return threads


def _compute(run: Run, runtime: RuntimeConfig, console: Console) -> Compute:
    """Chooses device and precision; says where `auto` here is another than the run had."""
    before = run.facts.get("environment", {})
    kept = kept_precision(runtime, before)
    compute = Compute.choose(replace(runtime, precision=kept))
    if kept is not runtime.precision:
        console.say(f"it goes on in {kept.value}, as before: `auto` is another here")
    elif before.get("precision", compute.precision) != compute.precision:
        console.warn(
            f"the run was in {before['precision']} on {before.get('device')}, and goes on in "
            f"{compute.precision} on {compute.name}"
        )
    return compute


def open_evaluation(
    command: str,
    run: Run,
    sources: Sequence[EncoderFiles],
    chosen: DataConfig | None,
    runtime: RuntimeConfig,
    console: Console,
    data_root: str | None = None,
    need: Need = require_labels,
) -> Session:
    """Opens a session that measures encoders on `chosen`, or on the first run's data.

    `labelled`: whether pictures must have labels.

    Raises SslcliError where these are not the runs' data, lack labels or a test part, or do not fit
    the encoders.
    """
    session = open_session(run, runtime, run_data_config(sources[0], chosen, data_root), console)
    need(session.splits, command)
    require_test(session.splits, command)
    for source in sources:
        if chosen is None:
            fix = "name the data to evaluate on with data=…"
            require_same_data(source.folder, session.splits, fix)
            fitted = splits_at(session.splits, sources[0].preprocessing.resolution)
            session = replace(session, splits=fitted)
        elif seen := seen_in_training(chosen, source):
            console.warn(seen)
        require_fit(session.splits.train.images, source.preprocessing)
        warn_of_other_range(session, source.preprocessing)
    return session


def warn_of_other_range(session: Session, fed: Preprocessing, what: str = "encoder") -> None:
    """Warns where other values of the files mean black and white than in the training of `what`."""
    given = session.splits.range
    if fed.range is not None and given != fed.range and not is_whole(fed.range):
        (low, high), (before_low, before_high) = given or (0, 255), fed.range
        session.console.warn(
            f"the {what} was trained with values from {before_low:g}, black, to {before_high:g}, "
            f"white, and these pictures are read from {low:g} to {high:g}; "
            f"data.range=[{before_low:g},{before_high:g}] reads them as in training"
        )


def train_phase(
    session: Session,
    name: str,
    training: Training,
    recording: RecordingConfig,
    label: str | None = None,
    wrap_listener: Callable[[ProgressListener], ProgressListener] = lambda listener: listener,
) -> float:
    """Trains from the phase's last checkpoint or the start; returns images per second.

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

    def weight_decay(step: int) -> float:
        return optim.weight_decay_at(step, num_steps)

    learner, replicas = training.learner, Replicas()
    if session.compute.shards:
        shards = replicas = Shards(learner)
        learner = shards.learner
    minimize = Minimizer.of(
        learner,
        optim,
        session.compute,
        learning_rate,
        weight_decay,
        training.frozen_steps,
        replicas,
    )
    phase = Phase(session.run, name, recording.keep_last, training.seed)
    if session.try_threads and not session.run.facts.get("trained"):
        _try_threads(session, training, minimize)
    with (
        session.console.training(label or name, num_steps) as listener,
        replicas.name_mixing(),
    ):
        speed = train(
            learner,
            pictures,
            minimize,
            training.evaluate,
            phase,
            Periods(
                num_steps, recording.log_every, evaluate_every, save_every, training.evaluate_first
            ),
            session.compute,
            wrap_listener(SlowdownAlarm(listener, session.console.warn)),
        )
    replicas.show()
    return speed


def _try_threads(session: Session, training: Training, minimize: Minimizer) -> None:
    """Uses as many threads as make a few steps fastest; notes it in run.json."""
    most = torch.get_num_threads()
    best = fastest_threads(training.learner, minimize, training.pictures, session.compute)
    if best < most:
        threads = "1 thread is" if best == 1 else f"{best} threads are"
        session.console.say(f"{threads} faster here than {most} (runtime.threads={most} uses them)")
        session.run.update(threads=best)
