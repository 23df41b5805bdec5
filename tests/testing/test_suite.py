"""The public suite: good methods of every kind pass it, and each fault fails the promise that it breaks."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from sslcli import nets
from sslcli.errors import SslcliError
from sslcli.method import LabelReader, Method, MethodConfig, Preprocessing, as_pictures
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.settings import REQUIRED, setting
from sslcli.testing import check_method, method_tests
from sslcli.testing.promises import PROMISES
from sslcli.testing.trial import Trial


@dataclass
class Base(Method):
    """Regresses what a head of its features is to be: half of each picture's mean brightness."""

    encoder: Encoder
    preprocessing: Preprocessing
    head: nn.Module

    def views(self, images: Tensor) -> Any:
        return as_pictures(images)

    def loss(self, views: Tensor) -> Tensor:
        brightness = views.mean(dim=(1, 2, 3)) / 2
        return (self.head(self.encoder(views)).flatten() - brightness).square().mean()

    def train_step(self, views: Any, minimize: Any, progress: Any) -> Any:
        loss = self.loss(views)
        minimize(loss)
        return {"loss": loss.detach()}


def config_of(kind: type[Method], **parts: Callable[[Encoder, nn.Module], Any]) -> MethodConfig:
    """A config that builds the method; `parts` make its further fields from encoder and head."""

    @dataclass(kw_only=True)
    class Config(MethodConfig):
        def build(self, encoder: Encoder, preprocessing: Preprocessing) -> Method:
            head = nn.Linear(encoder.width, 1)
            made = {name: make(encoder, head) for name, make in parts.items()}
            return kind(encoder, preprocessing.without_normalization(), head, **made)  # type: ignore[call-arg]

    return Config()


@dataclass
class WithTarget(Base):
    """A target that follows: a copy without gradient, as textbooks write it."""

    target: nn.Module

    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> Any:
        with torch.no_grad():
            aim = normalize(self.target(views), dim=1)
        loss = self.loss(views) + (normalize(self.encoder(views), dim=1) - aim).square().mean()
        minimize(loss)
        self.follow(progress.cosine(0.9, 1.0))
        return {"loss": loss.detach()}

    def follow(self, momentum: float) -> None:
        pairs = zip(self.target.parameters(), self.encoder.parameters(), strict=True)
        with torch.no_grad():
            for slow, fast in pairs:
                slow.lerp_(fast, 1 - momentum)


class WithAverage(WithTarget):
    def follow(self, momentum: float) -> None:
        self.target.follow(self.encoder, momentum=momentum)  # type: ignore[operator]


@dataclass
class WithQueue(Base):
    """It compares with earlier rows, which are state."""

    queue: Any

    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> Any:
        z = normalize(self.encoder(views), dim=1)
        loss = self.loss(views) + 0.1 * (z @ self.queue.rows.T).square().mean()
        minimize(loss)
        self.queue.enqueue(z)
        return {"loss": loss.detach()}


class SmallViews(Base):
    """Views of two sizes, and a head that begins late."""

    def views(self, images: Tensor) -> list[Tensor]:
        pictures = as_pictures(images)
        return [pictures, torch.cat([pictures[..., :8, :8], pictures[..., 8:, 8:]])]

    def players(self) -> dict[str, Any]:
        return {"encoder": [self.encoder], "head": [self.head]}

    def train_step(self, views: list[Tensor], minimize: Any, progress: Any) -> Any:
        h = self.encoder.in_chunks(views, None)
        brightness = torch.cat([size.mean(dim=(1, 2, 3)) for size in views])
        loss = (self.head(h).flatten() - brightness).square().mean()
        minimize(loss, "encoder", *(["head"] if progress.epoch >= 1 else []))
        return {"loss": loss.detach()}


class Labelled(LabelReader, Base):
    def views_of(self, images: Tensor) -> Tensor:
        return as_pictures(images)

    def train_step(self, views: Any, minimize: Any, progress: Any) -> Any:
        pictures, labels = views
        loss = cross_entropy(self.head(self.encoder(pictures)) * torch.arange(3), labels)
        minimize(loss)
        return {"loss": loss.detach()}


def teacher() -> nn.Module:
    torch.manual_seed(3)
    return ConvNetConfig(width=2).build(3, 16).requires_grad_(False)


@dataclass
class Distilled(Base):
    teacher: nn.Module

    def loss(self, views: Tensor) -> Tensor:
        return super().loss(views) + 0 * self.teacher(views).mean()


GOOD = {
    "a textbook target": config_of(
        WithTarget, target=lambda encoder, _: copy.deepcopy(encoder).requires_grad_(False)
    ),
    "a moving average": config_of(WithAverage, target=lambda e, _: nets.MovingAverage(e)),
    "a queue": config_of(WithQueue, queue=lambda encoder, _: nets.Queue(12, encoder.width)),
    "views of two sizes, a player that begins late": config_of(SmallViews),
    "labels": config_of(Labelled),
    "a frozen teacher": config_of(Distilled, teacher=lambda *_: nets.Frozen(teacher())),
}


OF_STATE = ("players_weights_move", "frozen_parts_stay", "resumed_equals_uninterrupted")
"""The promises that these kinds might seem to break; a plain method is tried on all, below."""


@pytest.mark.parametrize("name", list(GOOD))
def test_good_methods_of_every_kind_pass(name: str, tmp_path: Path) -> None:
    for promise in (*OF_STATE, "views_are_pictures", "it_can_be_copied"):
        folder = tmp_path / promise
        folder.mkdir()
        PROMISES[promise](Trial(GOOD[name], ConvNetConfig(width=2)), folder)


class Silent(Base):
    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> Any:
        minimize(self.loss(views))
        return {"brightness": views.mean()}


class Forgetful(Base):
    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> Any:
        return {"loss": self.loss(views).detach()}


class Rising(Base):
    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> Any:
        loss = self.loss(views)
        minimize(-loss)
        return {"loss": loss.detach()}


@dataclass
class RisingUnseen(Rising):
    """What it has counted makes its loss smaller, learn what it may, as a queue that fills can."""

    seen: nn.Module

    def loss(self, views: Tensor) -> Tensor:
        self.seen.running_mean.add_(1)  # type: ignore[union-attr]
        return super().loss(views) * 0.7 ** float(self.seen.running_mean)  # type: ignore[union-attr]


@dataclass
class OwnGenerator(Base):
    draws: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def loss(self, views: Tensor) -> Tensor:
        return super().loss(views + torch.rand(1, generator=self.draws))


@dataclass
class Counting(Base):
    """Its count is no state: a resumed run begins it anew."""

    steps: int = 0

    def loss(self, views: Tensor) -> Tensor:
        self.steps += 1
        return super().loss(views) * self.steps


DRAWN: Iterable[int] = iter(range(10**6))


class Unrepeatable(Base):
    def loss(self, views: Tensor) -> Tensor:
        return super().loss(views) * (1 + next(DRAWN))  # type: ignore[call-overload]


class HeadLeftOut(Base):
    """Its head is trained by hand, so to speak: no player has it, and it moves."""

    def players(self) -> dict[str, Any]:
        return {"method": [self.encoder]}

    def train_step(self, views: Tensor, minimize: Any, progress: Any) -> Any:
        metrics = super().train_step(views, minimize, progress)
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.add_(1e-3)
        return metrics


class HeadUnused(Base):
    def loss(self, views: Tensor) -> Tensor:
        return self.encoder(views).square().mean()


class Unlike(Base):
    """Its first views have another size than what the encoder is evaluated on."""

    def views(self, images: Tensor) -> Tensor:
        return as_pictures(images)[..., :12, :12]


BAD: dict[str, tuple[MethodConfig, str, str]] = {
    "no loss": (config_of(Silent), "loss_falls", "returns no 'loss', but brightness"),
    "forgotten minimize": (config_of(Forgetful), "loss_falls", "did not call `minimize`"),
    "a rising loss": (config_of(Rising), "loss_falls", "24 steps on 24 pictures took the loss of"),
    "a rising loss beside a count": (
        config_of(RisingUnseen, seen=lambda *_: nn.BatchNorm1d(1)),
        "loss_falls",
        "24 steps on 24 pictures took the loss of",
    ),
    "a drifting teacher": (
        config_of(Distilled, teacher=lambda *_: teacher()),
        "frozen_parts_stay",
        "running_mean changed in a part whose weights never do",
    ),
    "an own generator": (
        config_of(OwnGenerator),
        "resumed_equals_uninterrupted",
        "killed after step 8 and resumed, other than uninterrupted",
    ),
    "a count that is not saved": (
        config_of(Counting),
        "resumed_equals_uninterrupted",
        "keep all state in the fields that are modules",
    ),
    "other weights from one seed": (
        config_of(Unrepeatable),
        "same_seed_same_weights",
        "the same seed gave other weights",
    ),
    "a head that no player has": (
        config_of(HeadLeftOut),
        "players_weights_move",
        "head.weight moved, and no player has it",
    ),
    "a head that is not used": (
        config_of(HeadUnused),
        "players_weights_move",
        "head.weight is a player's and did not move",
    ),
    "views of another size": (
        config_of(Unlike),
        "views_are_pictures",
        "the first views are (3, 12, 12)",
    ),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_fault_breaks_its_promise(name: str, tmp_path: Path) -> None:
    config, promise, said = BAD[name]
    with pytest.raises((AssertionError, SslcliError)) as caught:
        PROMISES[promise](Trial(config, ConvNetConfig(width=4)), tmp_path)
    assert said in str(caught.value)


def test_the_whole_check_finds_a_fault() -> None:
    with pytest.raises(AssertionError, match="changed in a part whose weights never do"):
        check_method(BAD["a drifting teacher"][0])


@dataclass(kw_only=True)
class NeedyConfig(MethodConfig):
    """A config with a field that a user must give."""

    weight: float = setting(REQUIRED, "of the loss")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> Base:
        head = nn.Linear(encoder.width, round(self.weight))
        return Base(encoder, preprocessing.without_normalization(), head)


test_a_config_with_a_required_field = method_tests(NeedyConfig(weight=1.0))
"""The one line of a plugin's test file."""


@pytest.mark.commands
def test_importing_the_suite_imports_no_torch_and_no_pytest() -> None:
    code = "import sys, sslcli.testing; sys.exit(bool({'torch', 'pytest'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
