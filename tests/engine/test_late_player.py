"""A part that is trained only from some step on is a player of its own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import Killed, same, state, train_in
from torch import Tensor, nn

from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet


@dataclass
class Late:
    """Its prototypes begin in the second epoch, of three steps each."""

    student: nn.Module = field(default_factory=lambda: nn.Linear(12, 4))
    prototypes: nn.Module = field(default_factory=lambda: nn.Linear(4, 3))
    moved: list[bool] = field(default_factory=list)

    def modules(self) -> dict[str, nn.Module]:
        return {"student": self.student, "prototypes": self.prototypes}

    def players(self) -> dict[str, list[nn.Module]]:
        return {"student": [self.student], "prototypes": [self.prototypes]}

    def learning_rates(self) -> dict[str, float]:
        return {"student": 1.0, "prototypes": 0.5}

    def views(self, images: Tensor, /) -> Tensor:
        return images.flatten(1).float() / 255

    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> dict[str, Tensor]:
        before = [weight.clone() for weight in self.prototypes.parameters()]
        loss = self.prototypes(self.student(views)).square().mean()
        later = [] if progress.epoch < 1 else ["prototypes"]
        minimize(loss, "student", *later)
        self.moved.append(not all(map(torch.equal, before, self.prototypes.parameters())))
        return {"loss": loss.detach()}

    def satisfied(self) -> bool:
        return False


def train(folder: Path, stop_at: int | None = None) -> Late:
    torch.manual_seed(0)
    learner = Late()
    images = torch.randint(0, 256, (12, 2, 2, 3), dtype=torch.uint8).numpy()
    with contextlib.suppress(Killed):
        train_in(folder, learner, Batches(ImageSet(images), 4, 0, "cpu"), 12, stop_at)
    return learner


@pytest.mark.parametrize("killed_at", [2, 7])
def test_it_begins_late_and_a_resumed_run_is_the_same(tmp_path: Path, killed_at: int) -> None:
    """Killed before it begins, when its optimizer has no state yet; and after."""
    whole = train(tmp_path / "whole")
    assert whole.moved == [False] * 3 + [True] * 9
    train(tmp_path / "cut", killed_at)
    assert same(state(train(tmp_path / "cut")), state(whole))
