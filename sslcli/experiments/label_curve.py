"""Measures accuracy by the number of labels.

A cell is one run, kind, number of labels and subset. Each has a file of its own, so that a resumed
curve skips what is finished.
"""

from __future__ import annotations

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
from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import select_probe
from sslcli.evaluation.scores import labels_of, mean_and_interval, top_k_accuracy
from sslcli.experiments.finetune import build_classifier, train_classifier
from sslcli.experiments.finetune_config import Config as FinetuneConfig
from sslcli.experiments.finetune_config import Initial
from sslcli.experiments.label_curve_cells import (
    AT_EDGE,
    UNDECIDED,
    Cell,
    Curves,
    cell_text,
    write_table,
)
from sslcli.experiments.label_curve_config import Config, Kind
from sslcli.experiments.session import Session, open_evaluation
from sslcli.files import write_atomically
from sslcli.report.label_curve import save_label_curve
from sslcli.runs.checkpoint import skip_finished
from sslcli.runs.evaluations import Evaluation, append_evaluation
from sslcli.runs.folder import Run, read_facts
from sslcli.runs.results import Protocol, Results, write_results
from sslcli.trained.encoder import build_untrained, load_trained
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.nets.encoder import Encoder


def run(config: Config, run: Run, console: Console) -> None:
    """Measures every missing cell; writes the table, the files and the plot."""
    curve = LabelCurve.open(config, run, console)
    report(curve, curve.measure())


@dataclass(frozen=True)
class Parts:
    """Holds the features of the whole parts, of which a subset takes its rows."""

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

        Raises SslcliError where labels or test pictures are missing, or do not fit a run's encoder.
        """
        sources = [config.read(Path(name)) for name in config.runs]
        session = open_evaluation(
            "label-curve", run, sources, config.data, config.runtime, console, config.data_root
        )
        return cls.of(config, session, sources)

    @classmethod
    def of(cls, config: Config, session: Session, sources: list[EncoderFiles]) -> LabelCurve:
        """Raises SslcliError where two amounts mean the same number of labels."""
        splits = session.splits
        assert splits.train.labels is not None
        counts: dict[int, float] = {}
        for amount in config.labels:
            num_labels = len(label_subset(splits.train.labels, amount, 0, classes=splits.classes))
            other = counts.setdefault(num_labels, amount)
            if other != amount:
                both = f"labels={amount:g} and labels={other:g} both mean {num_labels:,} labels"
                raise SslcliError(f"{both} here: the same subsets", f"leave {amount:g} out")
        return cls(config, session, sources)

    def measure(self) -> list[Cell]:
        """Returns every cell, measured now or in an earlier process of this run."""
        return [
            self.cell(index, kind, amount, seed)
            for kind in self.config.kinds
            for index in range(1 if kind is Kind.raw_pixels else len(self.sources))
            for amount in self.config.labels
            for seed in range(self.config.subsets)
            if not (seed and self.needs_one_subset(kind, amount))
        ]

    def subset(self, seed: int) -> list[Cell]:
        """Returns the cells of one subset at every number of labels, of the only run."""
        return [
            self.cell(0, kind, amount, seed)
            for amount in self.config.labels
            for kind in self.config.kinds
            if not (seed and self.needs_one_subset(kind, amount))
        ]

    def needs_one_subset(self, kind: Kind, amount: float) -> bool:
        """Tells whether every seed gives the same: a probe that sees all labels."""
        labels = self.session.splits.train.labels
        assert labels is not None
        is_probe = kind not in (Kind.finetuned, Kind.from_scratch)
        return is_probe and len(label_subset(labels, amount, 0)) == len(labels)

    def cell(self, index: int, kind: Kind, amount: float, seed: int) -> Cell:
        """Measures one cell, or reads its file if it is measured already."""
        phase = f"{index}-{kind.name}/labels-{amount:g}-{seed}"
        path = self.session.run.folder / phase / "result.json"
        if path.exists():
            skip_finished(self.session.run, phase)
            return Cell(**json.loads(path.read_text()))
        cell = self.measured(index, kind, amount, seed, phase)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(cell), allow_nan=False).encode())
        subset = f"{cell.num_labels} labels, subset {seed}"
        name = self.curve(index, kind.name)
        self.session.console.say(f"{name}, {subset}: {100 * cell.top1:.2f} %")
        return cell

    def measured(self, index: int, kind: Kind, amount: float, seed: int, phase: str) -> Cell:
        """Trains on the cell's labels, or fits a probe to them, and measures it on test."""
        splits = self.session.splits
        assert splits.train.labels is not None
        chosen = label_subset(splits.train.labels, amount, seed, classes=splits.classes)
        labelled = splits.train.subset(chosen)
        if kind in (Kind.finetuned, Kind.from_scratch):
            top1, val_top1, how = self.train(index, kind, amount, seed, labelled, phase)
        else:
            top1, val_top1, how = self.probe(index, kind, labelled, chosen)
        return Cell(index, kind.name, amount, len(labelled), seed, top1, val_top1, how)

    def probe(
        self, index: int, kind: Kind, labelled: ImageSet, chosen: NDArray[np.int64]
    ) -> tuple[float, float, str]:
        """Returns top-1 on test and on validation, and how the probe was chosen."""
        parts = self.parts(index, kind)
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

    def train(
        self, index: int, kind: Kind, amount: float, seed: int, labelled: ImageSet, phase: str
    ) -> tuple[float, float, str]:
        """Returns top-1 on test and on validation, and how the weights were chosen."""
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
        top1 = classifier.accuracy(self.test, self.session.compute.device)
        return top1, float(classifier.best.accuracy), "weights by validation"

    @property
    def test(self) -> ImageSet:
        """Returns the test pictures, whose presence `open` has checked."""
        assert self.session.splits.test is not None
        return self.session.splits.test

    def parts(self, index: int, kind: Kind) -> Parts:
        """Returns what a probe of this kind is fitted to."""
        if kind is Kind.raw_pixels:
            return self.pixels
        return (self.untrained if kind is Kind.untrained_probe else self.features)[index]

    @cached_property
    def features(self) -> list[Parts]:
        """Computes the features of every run's encoder."""
        return [self.extracted(load_trained(source), source) for source in self.sources]

    @cached_property
    def untrained(self) -> list[Parts]:
        """Computes the features of every run's encoder as it was before training."""
        return [self.extracted(build_untrained(source), source) for source in self.sources]

    def extracted(self, encoder: Encoder, source: EncoderFiles) -> Parts:
        self.session.compute.to_device(encoder)
        parts = (self.session.splits.train, self.session.splits.val, self.test)
        shape, device = source.preprocessing, self.session.compute.device
        return Parts(*(features(encoder, part.images, shape, device) for part in parts))

    @cached_property
    def pixels(self) -> Parts:
        """Returns the pixels, as features."""
        parts = (self.session.splits.train, self.session.splits.val, self.test)
        return Parts(*(pixels(part.images).to(self.session.compute.device) for part in parts))

    def curve(self, index: int, kind: str) -> str:
        """Returns the name of a cell's curve."""
        name = kind.replace("_", " ")
        if len(self.sources) == 1 or kind == Kind.raw_pixels.name:
            return name
        method = read_facts(self.sources[index].folder).get("choices", {}).get("method", "run")
        return f"{name}, {method} ({index + 1})"


def describe_protocol(curve: LabelCurve) -> Protocol:
    """Describes how every cell was measured."""
    splits, config = curve.session.splits, curve.config
    return Protocol(
        trained_on="the labels of each row, the same subsets for every kind",
        chosen_on=f"{len(splits.val)} validation pictures; no probe learns from their labels",
        tested_on=f"{len(curve.test)} test pictures, once a cell",
        data_fingerprint=splits.fingerprint,
        details={
            "linear_probe": "multinomial logistic regression on encoder "
            f"outputs{config.described()}, eval mode, float32, standardised by those of all "
            "training pictures, without their labels; l2 by validation",
            "raw_pixels": "the same probe on pixels in [0, 1]",
            "finetuned": "encoder and linear layer from the run's weights"
            f"{config.described()}; stopped, and weights "
            "chosen, on validation",
            "from_scratch": "the same network and training from random weights",
            "l2": ", ".join(f"{value:g}" for value in config.l2),
            "interval": "95 %, Student's t over subsets",
        },
    )


def report(curve: LabelCurve, cells: list[Cell]) -> None:
    """Writes the results, the plot and the evaluated runs' lines; prints the table."""
    config, session = curve.config, curve.session
    run, console = session.run, session.console
    curves: Curves = {}
    for cell in cells:
        points = curves.setdefault(curve.curve(cell.run, cell.kind), {})
        points.setdefault(cell.num_labels, []).append(cell.top1)
    rows = [cell.row() for cell in cells]
    protocol = describe_protocol(curve)
    write_results(run.folder, Results("label-curve", protocol, rows, runs=config.runs))
    write_table(run.folder / "label_curve.csv", curves)
    means = {
        name: [(count, *mean_and_interval(values)) for count, values in points.items()]
        for name, points in curves.items()
    }
    save_label_curve(session.figures / "label_curve.png", means)
    at_edge = sum(AT_EDGE in cell.chosen for cell in cells)
    if at_edge:
        console.warn(
            f"l2 of {at_edge} probes is the edge of the grid; "
            "a better one may lie beyond (set l2=[…])"
        )
    undecided = sum(UNDECIDED in cell.chosen for cell in cells)
    if undecided:
        console.warn(
            f"validation cannot decide the l2 of {undecided} probes: every one does as well; "
            "the middle of the grid is taken"
        )
    counts = sorted({count for points in curves.values() for count in points})
    console.table(
        "test accuracy [%] by number of labels",
        ("labels", *curves),
        [
            (f"{count:,}", *(cell_text(points.get(count)) for points in curves.values()))
            for count in counts
        ],
    )
    metrics = {
        f"{name.replace(' ', '_')}_{count}": mean
        for name, points in means.items()
        for count, mean, _ in points
    }
    run.finish(metrics, None, peak_memory_bytes=session.compute.peak_memory_bytes())
    evaluation = Evaluation("label-curve", str(run.folder.absolute()), config.chosen(), metrics)
    for source in curve.sources:
        append_evaluation(source.folder, evaluation, console)
    console.say(f"run: {run.folder}")
