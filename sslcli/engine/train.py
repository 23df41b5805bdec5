"""Runs the training loop: seed, step, record, evaluate, save.

It has no hooks: what differs between methods is in `train_step`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import nn
from torch.profiler import record_function

from sslcli import processes
from sslcli.engine.agreement import require_agreement
from sslcli.engine.device import Compute
from sslcli.engine.meter import Meter
from sslcli.engine.minimize import Minimizer
from sslcli.engine.signals import stop_requests
from sslcli.errors import Interrupted, SslcliError, is_out_of_memory
from sslcli.generators import seed_generators
from sslcli.method import Evaluate, Learner, Progress
from sslcli.nets.state import load_state
from sslcli.runs.checkpoint import Phase, Trained
from sslcli.seeding import derive_seed
from sslcli.text import first_line, shell_path

PARTS = {
    "views": "the batch, and its views",
    "train_step": "forward, and what it contains",
    "minimize": "backward and update",
}
"""The parts of a step, by their names in the profiler; `minimize` is inside `train_step`."""

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)
Views = TypeVar("Views")


class Pictures(Protocol[Batch_co]):
    """Supplies batches: `at(step)` is a pure function of the step.

    Batches are on the device; a method's are (N, H, W, C) uint8.
    """

    steps_per_epoch: int
    batch_size: int

    def at(self, step: int) -> Batch_co: ...


class ProgressListener(Protocol):
    """Receives a call after every step, and every record."""

    def step(self, done: int) -> None: ...

    def record(self, record: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Periods:
    """States how long a training is, and how often it records, evaluates and saves.

    All are in steps; it also does so after the last step.
    """

    num_steps: int
    log_every: int
    evaluate_every: int
    save_every: int
    evaluate_first: bool = False
    """Whether it also evaluates before the first step, as step 0."""


def train(
    learner: Learner[Batch, Views],
    pictures: Pictures[Batch],
    minimize: Minimizer,
    evaluate: Evaluate,
    phase: Phase,
    periods: Periods,
    compute: Compute,
    listener: ProgressListener,
) -> float:
    """Trains from the phase's last checkpoint; returns images/s of all sessions.

    It ends after `periods.num_steps`, or earlier where the learner is satisfied. A step is a pure
    function of (state, seed, phase, step), so a resumed run is the same bit for bit. Raises
    Interrupted, after saving, when a signal asks to stop, in the last step too; RunFailed when a
    loss is not finite.
    """
    name = type(learner).__name__
    modules = nn.ModuleDict(learner.modules()).train()
    meter = Meter(name)
    start, finished = _restore(phase, modules, minimize, meter, compute)
    clock = _Clock(pictures.batch_size, phase.trained())
    if finished:
        return clock.images_per_second
    in_epoch = pictures.steps_per_epoch
    journal = _Journal(name, phase, modules, minimize, meter, listener, clock, in_epoch)

    with stop_requests() as stop:
        if periods.evaluate_first and start == 0:
            journal.measure(0, evaluate)
        for step in range(start, periods.num_steps):
            clock.begin_step()
            seed_generators(derive_seed(phase.seed, phase.name, step))
            progress = Progress(step, periods.num_steps, in_epoch)
            minimize.begin(step)
            with record_function("views"):
                batch = pictures.at(step)
                clock.data_ready()
                views = learner.views(batch)
            with compute.autocast(), record_function("train_step"):
                metrics = learner.train_step(views, minimize, progress)
            minimize.end()
            meter.add(metrics)
            clock.end_step()

            done = step + 1
            last = done == periods.num_steps
            listener.step(done)
            if last or done % periods.log_every == 0:
                clock.catch_up(minimize)
                rate = minimize.learning_rate(step)
                journal.record(done, {**meter.take(), "learning_rate": rate}, clock.take())
            if last or done % periods.evaluate_every == 0:
                clock.catch_up(minimize)
                journal.measure(done, evaluate)
                last = processes.from_first(last or learner.satisfied())
            # Read once, as a second signal may come meanwhile. A signal to one rank stops all.
            stopped_by = processes.largest(stop.signal_number or 0) or None
            if last or done % periods.save_every == 0 or stopped_by is not None:
                clock.catch_up(minimize)
                journal.save(done, last)
            if last:  # what comes next may be another training: no signal may be lost
                stopped_by = stopped_by or processes.largest(stop.signal_number or 0) or None
            if stopped_by is not None:
                raise _interrupted(phase, done, periods.num_steps, stopped_by)
            if last:
                break
    return clock.images_per_second


@dataclass(frozen=True)
class _Journal:
    """Writes records into metrics.jsonl, and the state into checkpoints.

    `learner` is its name.
    """

    learner: str
    phase: Phase
    modules: nn.ModuleDict
    minimize: Minimizer
    meter: Meter
    listener: ProgressListener
    clock: _Clock
    steps_per_epoch: int

    def record(self, done: int, values: dict[str, float], timing: dict[str, float]) -> None:
        position = {"phase": self.phase.name, "step": done, "epoch": done / self.steps_per_epoch}
        entry: dict[str, Any] = {**position, **values, "timing": timing}
        self.phase.run.record(entry)
        self.listener.record(entry)

    def measure(self, done: int, evaluate: Evaluate) -> None:
        """Records what rank 0 measures; leaves the modules in train mode."""
        began, leads = time.perf_counter(), processes.rank() == 0
        with self.minimize.replicas.shown(), processes.as_if(1):
            values = evaluate(done) if leads else {}
        self.modules.train()
        self.record(done, values, {"seconds": round(time.perf_counter() - began, 3)})

    def save(self, done: int, last: bool) -> None:
        """Saves the state; only rank 0 writes it.

        Raises RunFailed where the state of other ranks is not that of rank 0.
        """
        require_agreement(self.learner, self.modules)
        state = self.minimize.replicas.whole(
            {
                "modules": self.modules.state_dict(),
                "minimize": self.minimize.state(),
                "meter": self.meter.state(),
            }
        )
        if processes.rank() == 0:
            self.phase.save(done, state, last)
            self.phase.note(done, self.clock.total)


def _interrupted(phase: Phase, done: int, num_steps: int, signal_number: int) -> Interrupted:
    message = f"stopped by a signal after step {done} of {num_steps}; everything is saved"
    fix = f"go on: sslcli resume {shell_path(phase.run.folder)}"
    return Interrupted(message, fix, signal_number)


def _restore(
    phase: Phase, modules: nn.ModuleDict, minimize: Minimizer, meter: Meter, compute: Compute
) -> tuple[int, bool]:
    checkpoint = processes.from_first(phase.restore() if processes.rank() == 0 else None)
    if checkpoint is None:
        return 0, False
    step, state, finished = checkpoint
    try:
        load_state(modules, minimize.replicas.own(state["modules"], modules.state_dict()))
        minimize.load_state(state["minimize"])
        meter.load_state(state["meter"], compute.device)
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as reason:
        if is_out_of_memory(reason):
            raise
        message = f"{phase.last} does not fit what the run trains now: {first_line(reason, 1000)}"
        raise SslcliError(
            message, "put code, data and checkpoint back as they were, or start a new run"
        ) from None
    return step, finished


class _Clock:
    """Measures the time of the steps.

    A CUDA device works asynchronously: only the sum of the times up to `catch_up` is right.
    """

    def __init__(self, batch_size: int, before: Trained) -> None:
        """Takes `before`, the phase's progress before this session."""
        self._batch_size = batch_size
        self._before = before
        self._seconds = self._data_seconds = self._total_seconds = 0.0
        self._steps = self._total_steps = 0
        self._began = self._ready = 0.0
        self._ended: float | None = None

    def begin_step(self) -> None:
        self._began = time.perf_counter()

    def data_ready(self) -> None:
        self._ready = time.perf_counter()

    def end_step(self) -> None:
        now = time.perf_counter()
        self._data_seconds += self._ready - self._began
        self._seconds += now - self._began
        self._total_seconds += now - self._began
        self._steps += 1
        self._total_steps += 1
        self._ended = now

    def catch_up(self, minimize: Minimizer) -> None:
        """Waits for the CUDA device, adds that time to the steps', and checks the losses."""
        minimize.check_finite()
        if self._ended is not None:
            waited = time.perf_counter() - self._ended
            self._seconds += waited
            self._total_seconds += waited
            self._ended = None

    def take(self) -> dict[str, float]:
        speed = self._steps * self._batch_size / self._seconds
        timing = {
            "images_per_second": round(speed, 1),
            "data_share": round(self._data_seconds / self._seconds, 4),
        }
        self._seconds = self._data_seconds = 0.0
        self._steps = 0
        return timing

    @property
    def total(self) -> Trained:
        """Returns the phase's pictures and seconds so far, in all sessions."""
        images = self._before.images + self._total_steps * self._batch_size
        return Trained(images, self._before.seconds + self._total_seconds)

    @property
    def images_per_second(self) -> float:
        total = self.total
        return total.images / total.seconds if total.seconds else 0.0
