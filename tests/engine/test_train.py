"""The training loop: the order of what it does, its records, and when it ends."""

from __future__ import annotations

import signal

import pytest
import torch
from torch import nn
from training import (
    NEVER,
    Notes,
    Training,
    rate,
)

from sslcli.errors import Interrupted, RunFailed


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


@pytest.mark.parametrize("when", ["in the step", "while it is evaluated", "while it is saved"])
def test_a_signal_in_the_last_step_is_not_lost(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another training may follow, which would go on until it is killed. It is saved as finished."""
    training = Training()

    def come(given: object = 7) -> None:
        if given in (7, 8):
            signal.raise_signal(signal.SIGTERM)

    if when == "in the step":
        training.learner.during = come
    elif when == "while it is evaluated":
        training.evaluating = come
    else:
        note = training.notes.note
        monkeypatch.setattr(training.notes, "note", lambda *given: (note(*given), come()))
    with pytest.raises(Interrupted, match="after step 8 of 8; everything is saved"):
        training.run()
    assert training.notes.events[-2] == ("save", 8, True)
    resumed = Training(training.notes)
    resumed.run()
    assert training.at("train_step") == list(range(8)), "no step is done again"


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


def test_a_loss_that_is_not_finite_ends_it_and_is_not_saved() -> None:
    training = Training(save_every=1)

    def diverge(step: int) -> None:
        if step == 3:
            nn.init.constant_(training.learner.network.weight, torch.nan)

    training.learner.during = diverge
    with pytest.raises(RunFailed, match="the loss is not finite at step 3"):
        training.run()
    assert training.at("save") == [1, 2, 3]
