"""What a resumed training goes on from, and what it does not do again."""

from __future__ import annotations

import pytest
import torch
from doubles import Killed
from training import (
    Notes,
    OneWeight,
    Training,
)

from sslcli.errors import SslcliError


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
