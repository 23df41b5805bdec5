"""A training of doubles: a learner of one weight, numbers for pictures, and notes for a run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from doubles import CPU, Killed
from torch import Tensor, nn

from sslcli.engine.minimize import Minimizer, Player
from sslcli.engine.replicas import Replicas
from sslcli.engine.train import Periods, train
from sslcli.runs.checkpoint import Trained

NEVER = 1000
Events = list[tuple[Any, ...]]


class OneWeight:
    """A learner whose loss is its one weight, so that a step takes the learning rate from it."""

    def __init__(self, events: Events, inputs: int = 1) -> None:
        self.events = events
        self.network = nn.Linear(inputs, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self.during: Callable[[int], object] = lambda step: None
        """Called inside every step."""
        self.content = False
        self.draws: list[float] = []
        self.modes: list[bool] = []
        self.taken: list[float] = []
        """What every step took from the weight."""

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def players(self) -> dict[str, list[nn.Module]]:
        return {"method": [self.network]}

    def learning_rates(self) -> dict[str, float]:
        return {"method": 1.0}

    def views(self, images: Tensor, /) -> Tensor:
        self.events.append(("views", int(images)))
        self.draws.append(torch.rand(1).item())
        return images

    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> dict[str, Tensor]:
        self.events.append(("train_step", progress.step, progress.num_steps))
        self.modes.append(self.network.training)
        self.during(progress.step)
        before = self.network.weight.item()
        loss = self.network(torch.ones(1, 1)).sum()
        minimize(loss)
        self.taken.append(before - self.network.weight.item())
        return {"loss": loss.detach(), "batch": views.float()}

    def satisfied(self) -> bool:
        return self.content


class Numbers:
    """Pictures that are the number of their batch."""

    steps_per_epoch = 4
    batch_size = 8

    def __init__(self, events: Events) -> None:
        self.events = events

    def at(self, step: int) -> Tensor:
        self.events.append(("batch", step))
        return torch.tensor(step)


@dataclass
class Notes:
    """In place of a run and of its one phase: notes what it is asked for, in order, and keeps the last checkpoint."""

    events: Events = field(default_factory=list)
    checkpoint: tuple[int, dict[str, Any], bool] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    name: str = "phase"
    seed: int = 7
    folder: Path = Path("the run")
    last: Path = Path("the run/phase/last.pt")
    noted: Trained = field(default_factory=lambda: Trained(0, 0.0))

    @property
    def run(self) -> Notes:
        return self

    def restore(self) -> tuple[int, dict[str, Any], bool] | None:
        return copy.deepcopy(self.checkpoint)

    def save(self, step: int, state: dict[str, Any], finished: bool) -> None:
        self.events.append(("save", step, finished))
        self.checkpoint = copy.deepcopy((step, state, finished))

    def note(self, step: int, total: Trained) -> None:
        self.noted = total
        self.events.append(("update", {"status": "running", "step": step}))

    def trained(self) -> Trained:
        return self.noted

    def record(self, record: dict[str, Any]) -> None:
        self.events.append(("record", record["step"], "loss" in record, "score" in record))
        self.records.append(record)

    def logged(self, key: str) -> list[Any]:
        """Of the records of training, not of evaluations."""
        return [record[key] for record in self.records if "loss" in record]


@dataclass
class Listener:
    events: Events
    kill_at: int | None = None

    def step(self, done: int) -> None:
        self.events.append(("listener.step", done))
        if done == self.kill_at:
            raise Killed

    def record(self, record: dict[str, Any]) -> None:
        self.events.append(("listener.record", record["step"]))


def rate(step: int) -> float:
    return 0.5 ** (step % 3)


@dataclass
class Training:
    """A training of doubles: `notes` outlives a resume, all else is new."""

    notes: Notes = field(default_factory=Notes)
    num_steps: int = 8
    log_every: int = NEVER
    evaluate_every: int = NEVER
    save_every: int = NEVER
    momentum: float = 0.0

    def __post_init__(self) -> None:
        self.learner = OneWeight(self.notes.events)
        self.listener = Listener(self.notes.events)
        self.evaluating: Callable[[int], object] = lambda done: None
        self.minimize: Minimizer | Asynchronous | None = None

    def evaluate(self, done: int) -> dict[str, float]:
        self.notes.events.append(("evaluate", done))
        self.evaluating(done)
        return {"score": done / 10}

    def run(self) -> float:
        optimizer = torch.optim.SGD(self.learner.network.parameters(), 0.0, self.momentum)
        minimizer = Minimizer({"method": Player(optimizer, clip_norm=0.0)}, CPU, rate)
        periods = Periods(self.num_steps, self.log_every, self.evaluate_every, self.save_every)
        return train(
            self.learner, Numbers(self.notes.events), self.minimize or minimizer, self.evaluate, self.notes,  # type: ignore[arg-type]
            periods, CPU, self.listener,
        )  # fmt: skip

    def at(self, kind: str) -> list[int]:
        return [event[1] for event in self.notes.events if event[0] == kind]


@dataclass
class Clock:
    """Stands still but for what is waited for."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


class Asynchronous:
    """A minimizer whose steps take no time, as where they are only asked of a device; it needs 2 s for each, waited for here."""

    replicas = Replicas()

    def __init__(self, clock: Clock) -> None:
        self.clock, self.asked = clock, 0

    def begin(self, step: int) -> None:
        self.asked += 1

    def __call__(self, loss: Tensor, *players: str) -> None: ...

    def end(self) -> None: ...

    def learning_rate(self, step: int) -> float:
        return 0.1

    def state(self) -> dict[str, Any]:
        return {}

    def check_finite(self) -> None:
        self.clock.now += 2 * self.asked
        self.asked = 0
