"""The trial of a few steps with fewer threads: what it chooses, and that it changes nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from doubles import CPU, OfOneLayer
from torch import Tensor, nn

from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.trial import fastest_threads


class Timed(OfOneLayer):
    """A learner whose step takes `seconds[threads]` by a clock of its own."""

    clock = 0.0
    steps = 0

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.layer = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    def views(self, images: Tensor, /) -> Tensor:
        return images

    def train_step(self, views: Tensor, minimize: Minimizer, progress: object) -> dict[str, Tensor]:
        Timed.clock += self.seconds[torch.get_num_threads()]
        Timed.steps += 1
        loss = self.layer(views).square().sum()
        minimize(loss)
        return {"loss": loss.detach()}


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(time, "perf_counter", lambda: Timed.clock)
    monkeypatch.setattr(Timed, "steps", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def tried(seconds: dict[int, float]) -> int:
    torch.manual_seed(0)
    learner = Timed(seconds)
    pictures = SimpleNamespace(at=lambda step: torch.randn(4, 2), steps_per_epoch=1, batch_size=4)
    minimize = Minimizer.of(learner, SGDConfig(lr=0.1), CPU, lambda _: 0.1)
    before = {name: value.clone() for name, value in learner.layer.state_dict().items()}
    threads = fastest_threads(learner, minimize, pictures, CPU)
    assert torch.get_num_threads() == threads
    after = learner.layer.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    averages = minimize.state()["optimizers"]["method"]["state"].values()
    assert averages
    assert not any(average["momentum_buffer"].any() for average in averages)
    return threads


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(
    ("seconds", "threads"),
    [
        ({4: 0.1, 2: 0.2, 1: 0.4}, 4),
        ({4: 0.4, 2: 0.2, 1: 0.1}, 1),
        ({4: 0.4, 2: 0.1, 1: 0.2}, 2),
        ({4: 0.4, 2: 0.45, 1: 0.2}, 1),
        ({4: 0.100, 2: 0.095, 1: 0.3}, 4),
    ],
)
def test_the_fastest_number_is_kept_where_it_is_clearly_faster(
    seconds: dict[int, float], threads: int
) -> None:
    assert tried(seconds) == threads


@pytest.mark.usefixtures("four_threads")
def test_long_steps_are_tried_once_at_most_with_all_threads() -> None:
    assert tried({4: 3.0}) == 4
    assert Timed.steps == 1
