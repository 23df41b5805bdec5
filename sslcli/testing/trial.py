"""Trains a method for a few steps on a few made pictures, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.images import ImageSet
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig
from sslcli.engine.train import Periods, Pictures, train
from sslcli.generators import seed_generators
from sslcli.method import Evaluate, LabelReader, Learner, Method, MethodConfig, Preprocessing
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run

CPU = Compute(torch.device("cpu"), None)
SAVE_EVERY, LOG_EVERY = 5, 2
"""Steps."""
LEARNING_RATE = 3e-3


class Killed(Exception):
    """Ends a training as SIGKILL would: nothing is saved on the way out."""


@dataclass
class Onlooker:
    """Listens to a training, and kills it after step `stop_at`."""

    records: list[dict[str, Any]] = field(default_factory=list)
    stop_at: int | None = None

    def step(self, done: int) -> None:
        if done == self.stop_at:
            raise Killed

    def record(self, record: dict[str, Any]) -> None:
        self.records.append({key: value for key, value in record.items() if key != "timing"})


@dataclass(frozen=True)
class Trial:
    """A method and the encoder that it is tried with."""

    config: MethodConfig
    encoder: EncoderConfig

    def build(self) -> Method:
        """Builds the method with freshly drawn weights, always the same."""
        return build_method(self.config, self.encoder)

    def train(
        self,
        folder: Path,
        num_steps: int,
        stop_at: int | None = None,
        learning_rate: float = LEARNING_RATE,
    ) -> tuple[Method, list[dict[str, Any]]]:
        """Trains it in `folder`, from a checkpoint there; returns the records too."""
        method = self.build()
        return method, train_in(
            folder, method, _batches(method), num_steps, stop_at, learning_rate=learning_rate
        )

    def train_on(self, method: Method, folder: Path, num_steps: int) -> None:
        """Trains a method that was built for it."""
        train_in(folder, method, _batches(method), num_steps)

    def loss_of(self, method: Method, folder: Path) -> float:
        """Averages the loss over 24 steps that change no weight a player has; `folder` is new.

        Views, and what is drawn besides, are the same for every method of the trial.
        """
        records = train_in(folder, method, _batches(method), 24, learning_rate=0.0)
        losses: list[float] = [record["loss"] for record in records if "loss" in record]
        return sum(losses) / len(losses)


def _batches(method: Method) -> Batches | LabelledBatches:
    kind = LabelledBatches if isinstance(method, LabelReader) else Batches
    return kind(pictures(), 8, 0, "cpu")


def pictures() -> ImageSet:
    """Makes 24 coloured pictures of 16 x 16 pixels, of three classes."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (24, 4, 4, 3), dtype=torch.uint8, generator=generator)
    images = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2).numpy()
    return ImageSet(images, np.arange(24) % 3)


def build_method(
    config: MethodConfig, encoder: EncoderConfig, resolution: int = 16, channels: int = 3
) -> Method:
    """Builds a method with freshly drawn weights; by default, for `pictures()`."""
    seed_generators(1)
    preprocessing = Preprocessing(resolution, channels, (0.5,) * channels, (0.25,) * channels)
    return config.build(encoder.build(channels, resolution), preprocessing)


def train_in(
    folder: Path,
    learner: Learner[Any, Any],
    batches: Pictures[Any],
    num_steps: int,
    stop_at: int | None = None,
    evaluate: Evaluate = lambda _: {},
    evaluate_every: int = 1000,
    learning_rate: float = LEARNING_RATE,
) -> list[dict[str, Any]]:
    """Trains in `folder`, from its checkpoint if it has one; returns the records."""
    onlooker = Onlooker(stop_at=stop_at)
    folder.mkdir(exist_ok=True)
    minimize = Minimizer.of(learner, AdamWConfig(), CPU, lambda _: learning_rate)
    periods = Periods(num_steps, LOG_EVERY, evaluate_every, SAVE_EVERY)
    with Run(folder) as run:
        if not (folder / "run.json").exists():
            (folder / "run.json").write_text("{}")
        phase = Phase(run, "train", 2, 0)
        train(learner, batches, minimize, evaluate, phase, periods, CPU, onlooker)
    return onlooker.records


def state(learner: Learner[Any, Any]) -> dict[str, Tensor]:
    """Copies a learner's parameters and buffers."""
    return {
        f"{part}.{key}": value.clone()
        for part, module in learner.modules().items()
        for key, value in module.state_dict().items()
    }


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Tells whether two states are equal, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
