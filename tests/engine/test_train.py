"""The training loop: the order of what it does, when it ends, what a resume goes on from, and what it says of its speed."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import CPU, Killed
from torch import Tensor, nn

from sslcli.engine.minimize import Minimizer, Player
from sslcli.engine.train import Periods, train
from sslcli.errors import Interrupted, RunFailed, SslcliError
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


def test_what_a_step_does_in_order() -> None:
    """What is saved holds the records, so that they become durable together."""
    training = Training(num_steps=2, log_every=1, evaluate_every=1, save_every=1)
    training.run()
    one = [
        [
            ("batch", step),
            ("views", step),
            ("train_step", step, 2),
            ("listener.step", step + 1),
            ("record", step + 1, True, False),
            ("listener.record", step + 1),
            ("evaluate", step + 1),
            ("record", step + 1, False, True),
            ("listener.record", step + 1),
            ("save", step + 1, step == 1),
            ("update", {"status": "running", "step": step + 1}),
        ]
        for step in range(2)
    ]
    assert training.notes.events == [*one[0], *one[1]]


def test_a_record_says_where_it_was_made_and_averages_what_came_since_the_last() -> None:
    training = Training(num_steps=5, log_every=2)
    training.run()
    assert training.notes.logged("phase") == ["phase"] * 3
    assert training.notes.logged("step") == [2, 4, 5]
    assert training.notes.logged("epoch") == [0.5, 1.0, 1.25]
    assert training.notes.logged("batch") == [0.5, 2.5, 4.0]


@pytest.mark.parametrize(
    ("periods", "logged", "evaluated", "saved"),
    [
        ((2, 3, 4), [2, 4, 6, 7], [3, 6, 7], [4, 7]),
        ((7, 7, 7), [7], [7], [7]),
        ((NEVER, NEVER, NEVER), [7], [7], [7]),
        ((1, 5, 1), [*range(1, 8)], [5, 7], [*range(1, 8)]),
    ],
)
def test_each_is_done_in_its_period_and_once_after_the_last_step(
    periods: tuple[int, int, int], logged: list[int], evaluated: list[int], saved: list[int]
) -> None:
    training = Training(Notes(), 7, *periods)
    training.run()
    assert training.at("evaluate") == evaluated
    assert training.at("save") == saved
    finished = [event[2] for event in training.notes.events if event[0] == "save"]
    assert finished == [*[False] * (len(saved) - 1), True]
    assert training.notes.logged("step") == logged


def test_the_recorded_learning_rate_is_the_one_applied() -> None:
    training = Training(log_every=1)
    training.run()
    expected = [rate(step) for step in range(8)]
    assert training.notes.logged("learning_rate") == training.learner.taken == expected


def test_modules_train_although_evaluations_leave_them_otherwise() -> None:
    training = Training(evaluate_every=2)
    training.learner.network.eval()
    training.evaluating = lambda done: training.learner.network.eval()
    training.run()
    assert training.learner.modes == [True] * 8


def test_what_evaluations_draw_changes_no_step() -> None:
    plain, evaluated = Training(), Training(evaluate_every=1)
    evaluated.evaluating = lambda done: torch.rand(done)
    plain.run()
    evaluated.run()
    assert evaluated.learner.draws == plain.learner.draws
    assert len(set(plain.learner.draws)) == 8, "every step draws anew"
    other = Training(Notes(seed=8))
    other.run()
    assert not set(other.learner.draws) & set(plain.learner.draws)
    phase = Training(Notes(name="another phase"))
    phase.run()
    assert not set(phase.learner.draws) & set(plain.learner.draws)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_step_and_saved(number: signal.Signals) -> None:
    training = Training()
    training.learner.during = lambda step: step == 2 and signal.raise_signal(number)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="after step 3 of 8; everything is saved") as stopped:
        training.run()
    assert stopped.value.exit_code == 128 + number
    assert "sslcli resume 'the run'" in stopped.value.fix
    assert training.at("train_step") == [0, 1, 2]
    assert len(training.learner.taken) == 3, "the step is finished"
    assert training.notes.events[-2:] == [
        ("save", 3, False),
        ("update", {"status": "running", "step": 3}),
    ]
    assert signal.getsignal(number) is before


def test_a_signal_in_the_last_step_comes_too_late() -> None:
    training = Training()
    training.learner.during = lambda step: step == 7 and signal.raise_signal(signal.SIGTERM)
    training.run()
    assert training.notes.events[-2] == ("save", 8, True)


def test_a_second_signal_ends_it_at_once() -> None:
    training = Training()

    def twice(step: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    training.learner.during = twice
    with pytest.raises(KeyboardInterrupt):
        training.run()
    assert training.learner.taken == []
    assert training.at("save") == []


def test_a_satisfied_learner_ends_it_finished() -> None:
    """It is asked after evaluations only."""
    training = Training(evaluate_every=3)
    training.learner.content = True
    assert training.run() > 0
    assert training.at("train_step") == [0, 1, 2]
    assert training.notes.events[-2] == ("save", 3, True)


def test_it_is_satisfied_by_what_was_just_evaluated() -> None:
    training = Training(evaluate_every=2)

    def evaluating(done: int) -> None:
        training.learner.content = done == 4

    training.evaluating = evaluating
    training.run()
    assert training.at("train_step") == [0, 1, 2, 3]


@pytest.mark.parametrize("kill_at", [3, 4, 5])
def test_a_resume_goes_on_after_the_last_checkpoint(kill_at: int) -> None:
    """Killed before step 3 is saved, after it, and after another step."""
    whole, notes = Training(log_every=2, momentum=0.5), Notes()
    whole.run()
    cut = Training(notes, log_every=2, save_every=3, momentum=0.5)
    cut.listener.kill_at = kill_at
    with pytest.raises(Killed):
        cut.run()
    notes.events.clear()
    notes.records.clear()
    resumed = Training(notes, log_every=2, save_every=3, momentum=0.5)
    resumed.run()
    start = 0 if kill_at == 3 else 3
    assert resumed.at("batch") == resumed.at("train_step") == [*range(start, 8)]
    assert resumed.learner.draws == whole.learner.draws[start:]
    assert torch.equal(resumed.learner.network.weight, whole.learner.network.weight)
    number = len(notes.logged("step"))
    assert number == (4 if start == 0 else 3)
    for key in ("step", "loss", "batch"):  # means also of what came before the checkpoint
        assert notes.logged(key) == whole.notes.logged(key)[-number:]


def test_a_finished_phase_trains_nothing_and_has_its_weights() -> None:
    first = Training(num_steps=3)
    images_per_second = first.run()
    first.notes.events.clear()
    again = Training(first.notes, num_steps=3)
    assert again.run() == images_per_second
    assert again.notes.events == []
    assert torch.equal(again.learner.network.weight, first.learner.network.weight)


def test_a_phase_that_ended_early_stays_finished() -> None:
    first = Training(evaluate_every=2)
    first.learner.content = True
    images_per_second = first.run()
    first.notes.events.clear()
    assert Training(first.notes, evaluate_every=2).run() == images_per_second
    assert first.notes.events == []


def test_a_checkpoint_of_another_network_is_refused() -> None:
    first = Training(num_steps=3)
    first.run()
    other = Training(first.notes, num_steps=3)
    other.learner = OneWeight(other.notes.events, inputs=2)
    with pytest.raises(SslcliError, match=r"last\.pt does not fit what the run trains now"):
        other.run()


def test_a_loss_that_is_not_finite_ends_it_and_is_not_saved() -> None:
    training = Training(save_every=1)

    def diverge(step: int) -> None:
        if step == 3:
            nn.init.constant_(training.learner.network.weight, torch.nan)

    training.learner.during = diverge
    with pytest.raises(RunFailed, match="the loss is not finite at step 3"):
        training.run()
    assert training.at("save") == [1, 2, 3]


@dataclass
class Clock:
    """Stands still but for what is waited for."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


class Asynchronous:
    """A minimizer whose steps take no time, as where they are only asked of a device; it needs 2 s for each, waited for here."""

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


def test_nothing_is_saved_before_the_device_was_asked_whether_losses_are_finite() -> None:
    class Diverged(Asynchronous):
        def check_finite(self) -> None:
            if self.asked > 3:
                raise RunFailed("not finite", "")

    training = Training(save_every=2)
    training.minimize = Diverged(Clock())
    with pytest.raises(RunFailed, match="not finite"):
        training.run()
    assert training.at("save") == [2]


@pytest.mark.parametrize("log_every", [1, 2, 3, 6])
@pytest.mark.parametrize("reading", [0, 1, 6])
def test_the_wait_for_a_device_is_the_steps_time_and_an_evaluations_is_not(
    monkeypatch: pytest.MonkeyPatch, log_every: int, reading: int
) -> None:
    """`reading`: seconds for a batch. Making views of it is the step's own time."""
    clock, notes = Clock(), Notes()
    monkeypatch.setattr("sslcli.engine.train.time", clock)

    class Slow(Numbers):
        def at(self, step: int) -> Tensor:
            clock.now += reading
            return super().at(step)

    class Viewing(OneWeight):
        def views(self, images: Tensor, /) -> Tensor:
            clock.now += 1
            return super().views(images)

    def evaluate(_: int) -> dict[str, float]:
        clock.now += 100
        return {}

    speed = train(
        Viewing(notes.events), Slow(notes.events), Asynchronous(clock), evaluate, notes,  # type: ignore[arg-type]
        Periods(6, log_every, 2, 4), CPU, Listener(notes.events),
    )  # fmt: skip
    timings = [record["timing"] for record in notes.records]
    logged = [timing for timing in timings if "seconds" not in timing]
    assert speed == pytest.approx(8 / (3 + reading))
    expected = {
        "images_per_second": pytest.approx(8 / (3 + reading), abs=0.05),
        "data_share": pytest.approx(reading / (3 + reading), abs=1e-4),
    }
    assert logged == [expected] * (6 // log_every)
    assert [t["seconds"] for t in timings if "seconds" in t] == [100] * 3
