"""Measures accuracy by the number of labels.

A cell is one run, kind, number of labels and subset. Each has a file of its own, so that a resumed
curve skips what is finished.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import ImageSet, Splits
from sslcli.data.subset import label_subset
from sslcli.errors import SslcliError
from sslcli.evaluation.features import features, pixels
from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import select_probe
from sslcli.evaluation.scores import labels_of, top_k_accuracy
from sslcli.experiments.finetune import build_classifier, train_classifier
from sslcli.experiments.finetune_config import Config as FinetuneConfig
from sslcli.experiments.finetune_config import Initial
from sslcli.experiments.given import compared_encoder, names_of, open_given
from sslcli.experiments.label_curve_cells import AT_EDGE, UNDECIDED, Cell
from sslcli.experiments.label_curve_config import Config, Kind
from sslcli.experiments.label_curve_report import report
from sslcli.experiments.session import Session, open_evaluation
from sslcli.experiments.subject_config import RAW_PIXELS, UNTRAINED
from sslcli.files import write_atomically
from sslcli.runs.checkpoint import skip_finished
from sslcli.runs.folder import Run, read_facts
from sslcli.runs.results import read_part
from sslcli.trained.encoder import build_untrained, load_trained
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console


def run(config: Config, run: Run, console: Console) -> None:
    """Measures every missing cell; writes the table, the files and the plot."""
    curve = LabelCurve.open(config, run, console)
    report(curve, curve.measure())


def require_different_amounts(labels: Sequence[float], splits: Splits) -> None:
    """Raises SslcliError where two amounts mean the same number of labels, or one too many."""
    assert splits.train.labels is not None
    counts: dict[int, float] = {}
    for amount in labels:
        num_labels = len(label_subset(splits.train.labels, amount, 0, classes=splits.classes))
        other = counts.setdefault(num_labels, amount)
        if other != amount:
            both = f"labels={amount:g} and labels={other:g} both mean {num_labels:,} labels"
            raise SslcliError(f"{both} here: the same subsets", f"leave {amount:g} out")


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
    baselines: list[str]
    """Names of the sources after the first ones, the encoders that are only compared with."""

    @classmethod
    def open(cls, config: Config, run: Run, console: Console) -> LabelCurve:
        """Loads and checks everything before any training.

        Raises SslcliError where labels or test pictures are missing, or do not fit a run's encoder.
        """
        if config.encoder is not None:
            session, given = open_given("label-curve", run, config, console)
            sources = [given]
        else:
            # A link that is put elsewhere meanwhile must not change what later cells measure.
            sources = [config.read(Path(name).resolve()) for name in config.runs]
            session = open_evaluation(
                "label-curve", run, sources, config.data, config.runtime, console, config.data_root
            )
        require_different_amounts(config.labels, session.splits)
        return cls.of(config, session, sources)

    @classmethod
    def of(cls, config: Config, session: Session, sources: list[EncoderFiles]) -> LabelCurve:
        """Adds the baselines to the sources."""
        compared = [name for name in config.baselines if name != RAW_PIXELS]
        names, first = names_of(compared), sources[0]
        for name, baseline in zip(names, compared, strict=True):
            source = first
            if baseline != UNTRAINED:
                source = compared_encoder(baseline, first, session, 0, name, config.pool)
            sources.append(source)
        return cls(config, session, sources, names)

    def measure(self) -> list[Cell]:
        """Returns every cell, measured now or in an earlier process of this run."""
        kinds = self.config.kinds
        if RAW_PIXELS in self.config.baselines and Kind.raw_pixels not in kinds:
            kinds = [*kinds, Kind.raw_pixels]
        return [
            self.cell(index, kind, amount, seed)
            for kind in kinds
            for index in range(len(self.sources))
            if self.measures(index, kind)
            for amount in self.config.labels
            for seed in range(self.config.subsets)
            if not (seed and self.needs_one_subset(kind, amount))
        ]

    def measure_subset(self, seed: int) -> list[Cell]:
        """Returns the cells of one subset of the labels."""
        return [
            self.cell(index, kind, amount, seed)
            for amount in self.config.labels
            for kind in self.config.kinds
            for index in range(len(self.sources))
            if self.measures(index, kind) and not (seed and self.needs_one_subset(kind, amount))
        ]

    @property
    def num_subjects(self) -> int:
        """Returns how many of the sources are not baselines."""
        return len(self.sources) - len(self.baselines)

    def name_of_baseline(self, index: int) -> str | None:
        """Returns the baseline's name; None of a source that is none."""
        return None if index < self.num_subjects else self.baselines[index - self.num_subjects]

    def measures(self, index: int, kind: Kind) -> bool:
        """Tells whether a source has a curve of this kind."""
        baseline = self.name_of_baseline(index)
        if kind is Kind.raw_pixels:
            return index == 0
        if baseline == UNTRAINED:
            return kind is Kind.linear_probe
        return baseline is None or kind is not Kind.from_scratch

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
            return read_part(path, Cell)
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
        # Exact, as a probe's is: the best is kept in float32, and the two are compared.
        num_val = len(self.session.splits.val)
        val_top1 = round(float(classifier.best.accuracy) * num_val) / num_val
        return top1, val_top1, "weights by validation"

    @property
    def test(self) -> ImageSet:
        """Returns the test pictures, whose presence `open` has checked."""
        assert self.session.splits.test is not None
        return self.session.splits.test

    @cached_property
    def features(self) -> list[Parts]:
        """Computes the features of every run's encoder."""
        extracted = []
        for index, source in enumerate(self.sources):
            untrained = self.name_of_baseline(index) == UNTRAINED
            encoder = build_untrained(source) if untrained else load_trained(source)
            self.session.compute.to_device(encoder)
            parts = (self.session.splits.train, self.session.splits.val, self.test)
            shape, compute = source.preprocessing, self.session.compute
            extracted.append(
                Parts(*(features(encoder, part.images, shape, compute.device) for part in parts))
            )
        return extracted

    @cached_property
    def pixels(self) -> Parts:
        """Returns the pixels, as features."""
        parts = (self.session.splits.train, self.session.splits.val, self.test)
        return Parts(*(pixels(part.images).to(self.session.compute.device) for part in parts))

    def curve(self, index: int, kind: str) -> str:
        """Returns the name of a cell's curve."""
        name = kind.replace("_", " ")
        baseline = self.name_of_baseline(index)
        if baseline is not None:
            return f"{name}, {baseline.replace('_', ' ')}"
        if self.num_subjects == 1 or kind == Kind.raw_pixels.name:
            return name
        method = read_facts(self.sources[index].folder).get("choices", {}).get("method", "run")
        return f"{name}, {method} ({index + 1})"
