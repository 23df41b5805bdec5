"""What the author of a method may forget is answered at the first step, or before, in two lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import CPU, Killed, train_in
from torch import Tensor, nn
from torch.optim import SGD

from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import OptimConfig
from sslcli.errors import SslcliError

PLAYERS = ("one", "two")
Step = Callable[["Mine", Tensor, Any], Any]


@dataclass
class Mine:
    """A learner of two players, whose step and rates are given."""

    step: Step
    rates: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PLAYERS, 1.0))
    parts: dict[str, nn.Module] = field(
        default_factory=lambda: {name: nn.Linear(12, 3) for name in PLAYERS}
    )

    def modules(self) -> dict[str, nn.Module]:
        return self.parts

    def players(self) -> dict[str, list[nn.Module]]:
        return {name: [self.parts[name]] for name in PLAYERS}

    def learning_rates(self) -> dict[str, float]:
        return self.rates

    def views(self, images: Tensor, /) -> Tensor:
        return images.flatten(1).float() / 255

    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> Any:
        return self.step(self, views, minimize)

    def satisfied(self) -> bool:
        return False


def rows(learner: Mine, views: Tensor) -> Tensor:
    """(N,) losses of both players."""
    return sum(part(views) for part in learner.parts.values()).square().mean(dim=1)  # type: ignore[union-attr]


def ending_with(end: Callable[[Tensor], Any]) -> Step:
    """A good step but for what it returns, given its losses (N,)."""

    def step(learner: Mine, views: Tensor, minimize: Any) -> Any:
        losses = rows(learner, views)
        minimize(losses.mean(), *PLAYERS)
        return end(losses.detach())

    return step


def forgetful(learner: Mine, views: Tensor, minimize: Any) -> Any:
    return {"loss": rows(learner, views).mean().detach()}


def minimising(change: Callable[[Tensor], Tensor], player: str = "one") -> Step:
    return lambda learner, views, minimize: minimize(change(rows(learner, views)), player)


def trained(folder: Path, learner: Mine, stop_at: int | None = None) -> None:
    images = torch.arange(144, dtype=torch.uint8).view(12, 2, 2, 3).numpy()
    train_in(folder, learner, Batches(ImageSet(images), 4, 0, "cpu"), 8, stop_at)


@pytest.mark.parametrize(
    ("step", "message", "fix"),
    [
        (forgetful, "Mine.train_step did not call `minimize`", "minimize(loss)"),
        (
            minimising(Tensor.mean, "three"),
            "Mine.train_step minimises for 'three', no player of it",
            "its players are 'one', 'two'",
        ),
        (minimising(lambda rows: rows), "minimises a loss of shape (4,)", "a scalar"),
        (minimising(lambda rows: rows.mean().detach()), "a loss without a gradient", "detached"),
        (
            ending_with(lambda rows: {"accuracy": rows.mean()}),
            "Mine.train_step returns no 'loss', but accuracy",
            'return {"loss": loss.detach()}',
        ),
        (ending_with(lambda rows: None), "returns no 'loss', but NoneType", "return"),
        (
            ending_with(lambda rows: {"loss": rows.mean(), "best": 0.25}),
            "Mine.train_step returns 'best' as float, 0.25",
            "scalar tensor",
        ),
        (
            ending_with(lambda rows: {"loss": rows.mean(), "each": rows}),
            "Mine.train_step returns 'each' as a tensor of shape (4,)",
            "each.mean()",
        ),
    ],
)
def test_a_wrong_step_is_answered(tmp_path: Path, step: Step, message: str, fix: str) -> None:
    with pytest.raises(SslcliError) as caught:
        trained(tmp_path, Mine(step))
    assert message in caught.value.message
    assert fix in caught.value.fix
    assert "\n" not in caught.value.message + caught.value.fix


@pytest.mark.parametrize(
    ("rates", "said"),
    [({"one": 1.0}, "rates for 'one', and"), (dict.fromkeys((*PLAYERS, "x"), 1.0), "'two', 'x'")],
)
def test_rates_are_those_of_the_players(tmp_path: Path, rates: dict[str, float], said: str) -> None:
    with pytest.raises(SslcliError) as caught:
        trained(tmp_path, Mine(forgetful, rates))
    assert caught.value.message.startswith("Mine.learning_rates gives rates for ")
    assert said in caught.value.message
    assert caught.value.message.endswith("its players are 'one', 'two'")


def test_a_player_has_something_to_train(tmp_path: Path) -> None:
    learner = Mine(forgetful)
    learner.parts["two"].requires_grad_(False)
    with pytest.raises(SslcliError, match=r"Mine\.players gives 'two' nothing to train"):
        trained(tmp_path, learner)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda groups: None, "returns NoneType, no torch.optim.Optimizer"),
        (lambda groups: SGD(groups[0]["params"], 0.1), "other groups of parameters"),
    ],
)
def test_an_optimizers_mistake_is_answered(make: Callable[[Any], Any], said: str) -> None:
    class Config(OptimConfig):
        def optimizer(self, groups: list[dict[str, Any]]) -> Any:
            return make(groups)

    with pytest.raises(SslcliError) as caught:
        Minimizer.of(good(), Config(), CPU, lambda _: 0.1)
    assert caught.value.message.startswith("Config: its optimizer ")
    assert said in caught.value.message


def good(**parts: nn.Module) -> Mine:
    learner = Mine(ending_with(lambda rows: {"loss": rows.mean()}))
    learner.parts.update(parts)
    return learner


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (good(), good(more=nn.Linear(12, 3)), "it lacks more.weight, more.bias"),
        (good(more=nn.Linear(12, 3)), good(), "it also has more.weight, more.bias"),
        (
            good(two=nn.Linear(12, 1)),
            good(),
            "in it two.weight has shape (1, 12) for (3, 12), two.bias has shape (1,) for (3,)",
        ),
        (
            good(),
            good(deep=nn.Sequential(*(nn.Linear(12, 12) for _ in range(6)), nn.Linear(12, 3))),
            "deep.3.bias and 6 more",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_named_key_by_key(
    tmp_path: Path, before: Mine, after: Mine, said: str
) -> None:
    with pytest.raises(Killed):
        trained(tmp_path, before, stop_at=6)
    with pytest.raises(SslcliError) as caught:
        trained(tmp_path, after)
    assert "last.pt does not fit what the run trains now: " in caught.value.message
    assert said in caught.value.message
    assert "\n" not in caught.value.message
