"""Trains a context encoder, and scores how it fills holes of test pictures."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sslcli.data.images import evenly_spaced
from sslcli.engine.train import ProgressListener
from sslcli.evaluation.fillers import biharmonic, mean_fill, nearest_patch
from sslcli.evaluation.restoration import gradient_magnitude, restoration_scores
from sslcli.evaluation.restoration_monitor import damage, restore, some_of
from sslcli.experiments.inpaint_config import Config
from sslcli.experiments.pretrain import Trained, finish, train_method
from sslcli.experiments.session import Session, open_session
from sslcli.method import Restorer
from sslcli.report.pictures import save_grid
from sslcli.runs.folder import Run
from sslcli.runs.results import Protocol, Results, Row, numbers, score, write_results
from sslcli.text import shell_path

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_SHOWN = 16
LASTING = 10
"""Number of records in a row after which a player is said to have won."""


def run(config: Config, run: Run, console: Console) -> None:
    """Trains from the last checkpoint or from the start; then fills, scores and shows."""
    warn_without_biharmonic(console)
    session = open_session(run, config.runtime, config.data, console)
    trained = train_method(config, session, lambda shown: warn_of_a_winner(shown, console))
    if trained is None:
        return
    filling = Filling.of(trained, config.num_scored)
    filling.save(session)
    finish(trained, **filling.metrics())
    filling.report(session)


def warn_without_biharmonic(console: Console) -> None:
    if find_spec("skimage") is None:
        console.warn(
            "scikit-image is not installed, so biharmonic filling is not compared: "
            "pip install 'sslcli[inpainting]'"
        )


def warn_of_a_winner(listener: ProgressListener, console: Console) -> ProgressListener:
    """Wraps `listener`; warns, once, when the discriminator is always or never right."""
    return _Referee(listener, console, deque(maxlen=LASTING))


@dataclass
class _Referee:
    listener: ProgressListener
    console: Console
    accuracies: deque[float]
    warned: bool = False

    def step(self, done: int) -> None:
        self.listener.step(done)

    def record(self, record: dict[str, Any]) -> None:
        self.listener.record(record)
        if "discriminator_accuracy" not in record:
            return
        self.accuracies.append(record["discriminator_accuracy"])
        if self.warned or len(self.accuracies) < LASTING:
            return
        since = f"in the last {LASTING} records, up to step {record['step']}"
        if min(self.accuracies) > 0.99:
            self._warn(
                f"the discriminator wins: it was right about 99 % of the patches {since}", "lower"
            )
        elif max(self.accuracies) < 0.4:
            self._warn(
                "the generator wins: the discriminator was right about less than 40 % "
                f"of the patches {since}",
                "raise",
            )

    def _warn(self, what: str, change: str) -> None:
        self.warned = True
        self.console.warn(
            f"{what}; {change} method.discriminator_rate or method.discriminator_width"
        )


@dataclass(frozen=True)
class Filling:
    """Holds the same pictures with the same holes, filled in several ways.

    Pictures are (N, C, H, W) in [0, 1], on the CPU.
    """

    part: str
    truth: Tensor
    damaged: Tensor
    hidden: Tensor
    filled: dict[str, Tensor]
    fingerprint: str

    @classmethod
    def of(cls, trained: Trained, num_scored: int | None) -> Filling:
        """Fills pictures of the test part, or of validation where the data have none."""
        session, method = trained.session, trained.method
        splits, compute, console = session.splits, session.compute, session.console
        assert isinstance(method, Restorer)
        part, name = (splits.val, "validation") if splits.test is None else (splits.test, "test")
        if splits.test is None:
            console.warn("the data have no test part: what is reported is measured on validation")
        truth = some_of(part, num_scored or len(part), torch.device("cpu"))
        damaged, hidden = damage(method, truth)
        given = (damaged.to(compute.device), hidden.to(compute.device))
        network = restore(method, nn.ModuleDict(method.modules()), *given, compute)
        filled = {
            "mean": mean_fill(truth, hidden, method.preprocessing.mean),
            "nearest neighbour": nearest_patch(damaged, hidden, splits.pretraining.images),
        }
        if find_spec("skimage") is not None:
            filled["biharmonic"] = biharmonic(damaged, hidden, console.track)
        filled["network"] = network.cpu()
        return cls(name, truth, damaged, hidden, filled, splits.fingerprint)

    @cached_property
    def rows(self) -> list[Row]:
        """Scores every filler on the holes alone; `true` has the originals' sharpness."""
        sharpness = {
            name: float(gradient_magnitude(pictures, self.hidden).nanmean())
            for name, pictures in {**self.filled, "true": self.truth}.items()
        }
        scores = {name: {**self._errors(name), "gradient": g} for name, g in sharpness.items()}
        return [
            Row(name, {key: score(value) for key, value in values.items()})
            for name, values in scores.items()
        ]

    def _errors(self, name: str) -> dict[str, float]:
        if name not in self.filled:
            return {}
        return restoration_scores(self.filled[name], self.truth, self.hidden)

    def metrics(self) -> dict[str, float]:
        """Returns every filler's PSNR on the holes, and the network's other scores."""
        scores = {row.name: numbers(row.scores) for row in self.rows if row.name in self.filled}
        others = {name: value for name, value in scores["network"].items() if name != "psnr"}
        psnr = {name: row["psnr"] for name, row in scores.items() if "psnr" in row}
        return {
            **{f"hole_psnr_{name.replace(' ', '_')}": value for name, value in psnr.items()},
            **{f"hole_{name}": value for name, value in others.items()},
        }

    def save(self, session: Session) -> None:
        """Writes results.json and the grid of pictures."""
        protocol = Protocol(
            tested_on=f"{len(self.truth)} {self.part} pictures, the hidden pixels alone, "
            "means over pictures",
            data_fingerprint=self.fingerprint,
            details={
                "hidden": f"{100 * float(self.hidden.float().mean()):.1f} % of the pixels",
                "nearest_neighbour": "of the training pictures, by L2 on the visible pixels",
            },
        )
        write_results(session.run.folder, Results("inpaint", protocol, self.rows))
        shown = evenly_spaced(len(self.truth), NUM_SHOWN)
        columns = {"masked": self.damaged, **self.filled, "true": self.truth}
        display = session.display
        save_grid(
            session.figures / "fillings.png",
            {name: display.of_pictures(column[shown]) for name, column in columns.items()},
            display.words,
        )

    def report(self, session: Session) -> None:
        """Prints the table, and how to fill other pictures."""
        run, console = session.run, session.console
        formats = {"l1": "{:.2f} %", "l2": "{:.2f} %", "psnr": "{:.2f} dB", "ssim": "{:.3f}"}
        formats["gradient"] = "{:.4f}"
        rows = []
        for row in self.rows:
            scores = numbers(row.scores)
            cells = (text.format(scores[k]) if k in scores else "" for k, text in formats.items())
            rows.append((row.name, *cells))
        title = f"the holes of {len(self.truth)} {self.part} pictures"
        console.table(title, ("filled by", "L1", "L2", "PSNR", "SSIM", "mean gradient"), rows)
        # A network that only ever saw one hole learned to fill no other.
        if bool((self.hidden != self.hidden[:1]).any()):
            folder = shell_path(run.folder)
            console.say(
                f"fill your own pictures: sslcli restore {folder} picture.png --mask mask.png"
            )
        console.say(f"run: {run.folder}")
