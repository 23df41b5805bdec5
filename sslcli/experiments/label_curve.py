"""The work of `label-curve`: cell by cell (run, kind, labels, subset), each with a file of its own, so that a resumed curve
skips what is finished."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import ImageSet
from sslcli.data.subset import label_subset
from sslcli.errors import SslcliError
from sslcli.evaluation.features import features, pixels
from sslcli.evaluation.probe import Standardizer, select_probe
from sslcli.evaluation.scores import labels_of, mean_and_interval, top_k_accuracy
from sslcli.experiments.finetune import build_classifier, score_on_test, train_classifier
from sslcli.experiments.finetune_config import Config as FinetuneConfig
from sslcli.experiments.finetune_config import Initial
from sslcli.experiments.label_curve_config import Config, Kind
from sslcli.experiments.session import Session, open_evaluation
from sslcli.files import write_atomically
from sslcli.report.label_curve import save_label_curve
from sslcli.runs.checkpoint import skip_finished
from sslcli.runs.evaluations import link
from sslcli.runs.folder import Run, read_facts
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

if TYPE_CHECKING:
    from sslcli.console import Console


AT_EDGE = ", the grid's edge"
UNDECIDED = ", the middle: validation cannot decide"


def run(config: Config, run: Run, console: Console) -> None:
    """Measures every cell that is not measured yet; leaves the table, the files and the plot."""
    LabelCurve.open(config, run, console).run()


@dataclass(frozen=True)
class Cell:
    """One measurement: test accuracy of `kind` for the `run`-th encoder with `num_labels` labels of subset `seed`."""

    run: int
    kind: str
    amount: float
    num_labels: int
    seed: int
    top1: float
    val_top1: float
    chosen: str


@dataclass(frozen=True)
class Parts:
    """Features of the whole parts, extracted once; a subset takes its rows."""

    train: Tensor
    val: Tensor
    test: Tensor


@dataclass
class LabelCurve:
    config: Config
    session: Session
    sources: list[EncoderFiles]

    @classmethod
    def open(cls, config: Config, run: Run, console: Console) -> LabelCurve:
        """Loads and checks everything before any training.

        Raises SslcliError where labels or test pictures lack, or a run's encoder does not fit them.
        """
        sources = [read_encoder(Path(name)) for name in config.runs]
        session = open_evaluation("label-curve", run, sources, config.data, config.runtime, console)
        splits = session.splits
        assert splits.train.labels is not None
        counts: dict[int, float] = {}
        for amount in config.labels:
            num_labels = len(label_subset(splits.train.labels, amount, 0, classes=splits.classes))
            other = counts.setdefault(num_labels, amount)
            if other != amount:
                message = f"labels={amount:g} and labels={other:g} both mean {num_labels:,} labels here: the same subsets"
                raise SslcliError(message, f"leave {amount:g} out")
        return cls(config, session, sources)

    def run(self) -> None:
        cells = [
            self.cell(index, kind, amount, seed)
            for kind in self.config.kinds
            for index in range(1 if kind is Kind.raw_pixels else len(self.sources))
            for amount in self.config.labels
            for seed in range(self.config.subsets)
            if not (
                seed and self.sees_all(amount) and kind in (Kind.linear_probe, Kind.raw_pixels)
            )  # nothing would differ
        ]
        self.report(cells)

    def sees_all(self, amount: float) -> bool:
        labels = self.session.splits.train.labels
        assert labels is not None
        return len(label_subset(labels, amount, 0)) == len(labels)

    def cell(self, index: int, kind: Kind, amount: float, seed: int) -> Cell:
        phase = f"{index}-{kind.name}/labels-{amount:g}-{seed}"
        path = self.session.run.folder / phase / "result.json"
        if path.exists():
            skip_finished(self.session.run, phase)
            return Cell(**json.loads(path.read_text()))
        assert self.session.splits.train.labels is not None
        chosen = label_subset(
            self.session.splits.train.labels, amount, seed, classes=self.session.splits.classes
        )
        labelled = self.session.splits.train.subset(chosen)
        if kind in (Kind.finetuned, Kind.from_scratch):
            top1, val_top1, words = self.trained(index, kind, amount, seed, labelled, phase)
        else:
            top1, val_top1, words = self.probed(index, kind, labelled, chosen)
        cell = Cell(index, kind.name, amount, len(labelled), seed, top1, val_top1, words)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(cell)).encode())
        self.session.console.say(
            f"{self.name(index, kind.name)}, {len(labelled)} labels, subset {seed}: {100 * top1:.2f} %"
        )
        return cell

    def probed(
        self, index: int, kind: Kind, labelled: ImageSet, chosen: NDArray[np.int64]
    ) -> tuple[float, float, str]:
        parts = self.pixels if kind is Kind.raw_pixels else self.features[index]
        train_labels, val_labels, test_labels = (
            labels_of(part, self.session.compute.device)
            for part in (labelled, self.session.splits.val, self.test)
        )
        selection = select_probe(
            parts.train[chosen],
            train_labels,
            parts.val,
            val_labels,
            self.session.splits.num_classes,
            self.config.l2,
            refit=False,
            standardizer=Standardizer.fit(parts.train),
        )
        top1 = top_k_accuracy(selection.probe.logits(parts.test), test_labels)
        how = ", by validation"
        if selection.undecided:
            how = UNDECIDED
        elif selection.at_edge:
            how = f"{AT_EDGE}{how}"
        return top1, selection.accuracies[selection.l2], f"l2 {selection.l2:g}{how}"

    def trained(
        self, index: int, kind: Kind, amount: float, seed: int, labelled: ImageSet, phase: str
    ) -> tuple[float, float, str]:
        config = FinetuneConfig(
            run=str(self.sources[index].folder),
            init=Initial.run if kind is Kind.finetuned else Initial.random,
            labels=amount,
            seed=seed,
            optim=self.config.optim,
            training=self.config.training,
            runtime=self.config.runtime,
        )
        classifier = build_classifier(config, self.sources[index], self.session)
        train_classifier(self.session, phase, config, classifier, labelled)
        result = score_on_test(config, classifier, labelled, self.session)
        return result["top1"], result["val_top1"], "weights by validation"

    @property
    def test(self) -> ImageSet:
        assert self.session.splits.test is not None
        return self.session.splits.test

    @cached_property
    def features(self) -> list[Parts]:
        """Of every run's encoder."""
        found = []
        for source in self.sources:
            encoder = load_trained(source)
            self.session.compute.to_device(encoder)
            parts = (self.session.splits.train, self.session.splits.val, self.test)
            shape, compute = source.preprocessing, self.session.compute
            found.append(
                Parts(*(features(encoder, part.images, shape, compute.device) for part in parts))
            )
        return found

    @cached_property
    def pixels(self) -> Parts:
        parts = (self.session.splits.train, self.session.splits.val, self.test)
        return Parts(*(pixels(part.images).to(self.session.compute.device) for part in parts))

    def name(self, index: int, kind: str) -> str:
        words = kind.replace("_", " ")
        if len(self.sources) == 1 or kind == Kind.raw_pixels.name:
            return words
        method = read_facts(self.sources[index].folder).get("choices", {}).get("method", "run")
        return f"{words}, {method} ({index + 1})"

    def report(self, cells: list[Cell]) -> None:
        """Table, CSV, JSON and plot, with the protocol beside the numbers."""
        run = self.session.run
        curves: dict[str, dict[int, list[float]]] = {}
        for cell in cells:
            curve = curves.setdefault(self.name(cell.run, cell.kind), {})
            curve.setdefault(cell.num_labels, []).append(cell.top1)
        protocol = {
            "runs": self.config.runs,
            "linear_probe": "multinomial logistic regression on encoder outputs, eval mode, float32, standardised by those of "
            "all training pictures, without their labels; l2 by validation",
            "raw_pixels": "the same probe on pixels in [0, 1]",
            "finetuned": "encoder and linear layer from the run's weights; stopped, and weights chosen, on validation",
            "from_scratch": "the same network and training from random weights",
            "l2": self.config.l2,
            "chosen_on": f"{len(self.session.splits.val)} validation pictures; no probe learns from their labels",
            "tested_on": f"{len(self.test)} test pictures, once a cell",
            "interval": "95 %, Student's t over subsets",
            "data_fingerprint": self.session.splits.fingerprint,
        }
        content = {"protocol": protocol, "cells": [asdict(cell) for cell in cells]}
        write_atomically(run.folder / "results.json", json.dumps(content, indent=2).encode())
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(["curve", "labels", "subsets", "mean_top1", "interval"])
        for name, curve in curves.items():
            for count, values in curve.items():
                mean, interval = mean_and_interval(values)
                writer.writerow(
                    [name, count, len(values), mean, "" if interval is None else interval]
                )
        write_atomically(run.folder / "label_curve.csv", table.getvalue().encode())
        points = {
            name: [(n, *mean_and_interval(v)) for n, v in curve.items()]
            for name, curve in curves.items()
        }
        save_label_curve(self.session.figures / "label_curve.png", points)
        counts = sorted({count for curve in curves.values() for count in curve})
        rows = [
            (f"{count:,}", *(_cell_text(curve.get(count)) for curve in curves.values()))
            for count in counts
        ]
        at_edge = sum(AT_EDGE in cell.chosen for cell in cells)
        if at_edge:
            message = f"l2 of {at_edge} probes is the edge of the grid; a better one may lie beyond (set l2=[…])"
            self.session.console.warn(message)
        undecided = sum(UNDECIDED in cell.chosen for cell in cells)
        if undecided:
            message = (
                f"validation cannot decide the l2 of {undecided} probes: every one does as well"
            )
            self.session.console.warn(f"{message}; the middle of the grid is taken")
        self.session.console.table(
            "test accuracy [%] by number of labels", ("labels", *curves), rows
        )
        metrics = {
            f"{name.replace(' ', '_')}_{count}": mean_and_interval(values)[0]
            for name, curve in curves.items()
            for count, values in curve.items()
        }
        run.finish(metrics, None, peak_memory_bytes=self.session.compute.peak_memory_bytes())
        for source in self.sources:
            link(
                source.folder,
                {"command": "label-curve", "run": str(run.folder.absolute()), **metrics},
                self.session.console,
            )
        self.session.console.say(f"run: {run.folder}")


def _cell_text(values: list[float] | None) -> str:
    if not values:
        return ""
    mean, interval = mean_and_interval(values)
    return f"{100 * mean:.2f}" if interval is None else f"{100 * mean:.2f} ± {100 * interval:.2f}"
