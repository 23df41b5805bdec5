"""Trains deep networks layer by layer, fine-tunes every depth and compares them.

This is done for every seed and kind of pretraining. Each layer and each fine-tuning is an ordinary
training in a phase of its own; a finished phase is skipped on resume.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.images import ImageSet, evenly_spaced
from sslcli.data.needs import require_labels, require_test
from sslcli.data.subset import label_subset
from sslcli.errors import SslcliError
from sslcli.evaluation.classifier import Classifier
from sslcli.evaluation.features import eval_mode
from sslcli.experiments.session import Session, Training, open_session, train_phase
from sslcli.experiments.stack_pretrain_config import Config, Pretraining
from sslcli.files import write_atomically
from sslcli.generators import seed_generators
from sslcli.method import Preprocessing
from sslcli.methods.stacked_layer import StackedLayer
from sslcli.nets.layered import LayeredEncoder
from sslcli.report.comparison import (
    comparison_columns,
    comparison_rows,
    save_depth_comparison,
)
from sslcli.report.figures import save_curves
from sslcli.runs.checkpoint import skip_finished
from sslcli.runs.folder import Run, Validation, read_records
from sslcli.runs.results import Protocol, Results, Row, read_part, write_results
from sslcli.seeding import derive_seed
from sslcli.trained.able_runs import layer_phase
from sslcli.trained.encoder import build_initial, write_encoder

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_WATCHED = 1000
"""Number of validation pictures whose reconstruction is followed."""


@dataclass(frozen=True)
class Cell:
    """Holds the errors of one fine-tuned network, as its file does.

    Errors are in percent; `test_error` is None where the data have no test part.
    """

    pretraining: str
    depth: int
    seed: int
    val_error: float
    test_error: float | None
    epochs: float

    @property
    def error(self) -> float:
        """Returns the error on test, or on validation where there is no test part."""
        return self.val_error if self.test_error is None else self.test_error

    def row(self) -> Row:
        """Returns the cell's row of results.json."""
        return Row(
            self.pretraining,
            {"val_error": self.val_error, "test_error": self.test_error},
            {"depth": self.depth, "seed": self.seed, "epochs": self.epochs},
        )


def run(config: Config, run: Run, console: Console) -> None:
    """Trains every missing network; writes encoder, table and plot."""
    stacking = Stacking.open(config, run, console)
    report(stacking, stacking.train())


@dataclass(frozen=True)
class Stacking:
    config: Config
    session: Session
    labelled: ImageSet | None
    preprocessing: Preprocessing

    @classmethod
    def open(cls, config: Config, run: Run, console: Console) -> Stacking:
        """Loads and checks everything before any training.

        Raises SslcliError where nothing would be trained, or labels are missing.
        """
        session = open_session(run, config.runtime, config.data, console)
        splits = session.splits
        labelled = None
        if config.finetune.epochs and splits.train.labels is not None:
            require_labels(splits, "fine-tuning")
            if splits.test is not None:
                require_test(splits, "fine-tuning")
            amount = config.finetune.labels
            chosen = label_subset(
                splits.train.labels, amount, 0, field="finetune.labels", classes=splits.classes
            )
            labelled = splits.train.subset(chosen)
        elif config.finetune.epochs:
            console.say(
                "the pictures have no labels: the layers are trained, and nothing is fine-tuned"
            )
        if labelled is None and config.compare == [Pretraining.none]:
            raise SslcliError(
                "nothing would be trained: compare=[none] pretrains no layer, "
                "and there is no fine-tuning",
                "compare=[denoising], or fine-tune: finetune.epochs above 0, pictures with labels",
            )
        channels = splits.train.channels
        zeros, ones = (0.0,) * channels, (1.0,) * channels
        plain = Preprocessing(splits.train.resolution, channels, zeros, ones, splits.range)
        return cls(config, session, labelled, plain)

    def train(self) -> list[Cell]:
        """Trains every missing network, and writes the encoder; returns every cell."""
        cells: list[Cell] = []
        first = True
        for seed in self.config.seeds:
            for pretraining in self.config.compare:
                encoder = self.pretrain(pretraining, seed)
                if first and pretraining is self.result:
                    write_encoder(
                        self.session.run.folder,
                        encoder,
                        self.config.encoder,
                        self.preprocessing,
                        seed,
                    )
                    first = False
                if self.labelled is not None:
                    depths = self.config.finetuned_depths(len(encoder.layers))
                    cells += [self.finetune(encoder, pretraining, depth, seed) for depth in depths]
        return cells

    @property
    def result(self) -> Pretraining:
        """Returns the kind whose encoder of the first seed is written: the last one."""
        return [
            kind
            for kind in self.config.compare
            if kind is not Pretraining.none or len(self.config.compare) == 1
        ][-1]

    def pretrain(self, pretraining: Pretraining, seed: int) -> LayeredEncoder:
        """Trains the layers of a seed's network, one after another.

        All kinds begin with the same weights.
        """
        config = self.config
        shape = self.preprocessing
        encoder = build_initial(config.encoder, shape.channels, shape.resolution, seed)
        assert isinstance(encoder, LayeredEncoder)
        self.session.compute.to_device(encoder.eval())
        if pretraining is Pretraining.none:
            return encoder
        for depth in range(1, len(encoder.layers) + 1):
            level, epochs = config.of_layer(depth)
            corruption = config.noise.at(
                level if pretraining is Pretraining.denoising else 0.0
            ).build()
            seed_generators(derive_seed(seed, "mirror", depth))
            learner = StackedLayer.of(
                encoder, depth, corruption, config.reconstruction, config.tied
            )
            self.session.compute.to_device(learner.mirror)
            pictures = Batches(
                self.session.splits.pretraining,
                config.batch_size,
                seed,
                self.session.compute.device,
            )
            val = self.session.splits.val
            watched = torch.from_numpy(val.images[evenly_spaced(len(val), NUM_WATCHED)]).to(
                self.session.compute.device
            )

            def reconstruction(
                _: int, learner: StackedLayer = learner, watched: Tensor = watched
            ) -> dict[str, float]:
                with torch.no_grad(), eval_mode(learner.layer):
                    codes = learner.views(watched)
                    return {"val_loss": float(learner.reconstruction_loss(codes, codes))}

            name = layer_phase(pretraining.name, seed, depth)
            num_steps = epochs * pictures.steps_per_epoch
            training = Training(learner, pictures, config.optim, reconstruction, num_steps, seed)
            train_phase(self.session, name, training, config)
            encoder.eval()
        return encoder

    def finetune(
        self, pretrained: LayeredEncoder, pretraining: Pretraining, depth: int, seed: int
    ) -> Cell:
        """Trains the first `depth` layers and a classifier on top; reads test once.

        If the result exists already, it is only read.
        """
        phase = f"{pretraining.name}-{seed}/finetune-{depth}"
        result = self.session.run.folder / phase / "result.json"
        if result.exists():
            skip_finished(self.session.run, phase)
            return read_part(result, Cell)
        assert self.labelled is not None
        assert self.labelled.labels is not None
        settings = self.config.finetune
        encoder = copy.deepcopy(pretrained.up_to(depth))
        classifier = Classifier.of(
            encoder, self.session.splits.num_classes, self.preprocessing, settings.patience
        )
        for module in classifier.modules().values():
            self.session.compute.to_device(module)
        pictures = LabelledBatches(
            self.labelled,
            min(settings.batch_size, len(self.labelled)),
            seed,
            self.session.compute.device,
        )

        optim = replace(self.config.optim, lr=settings.lr)
        validation = classifier.validation(self.session.splits.val, self.session.compute.device)
        num_steps = settings.epochs * pictures.steps_per_epoch
        training = Training(classifier, pictures, optim, validation, num_steps, seed)
        train_phase(self.session, phase, training, self.config)
        classifier.best.put_back()
        errors = [
            None
            if part is None
            else 100 * (1 - classifier.accuracy(part, self.session.compute.device))
            for part in (self.session.splits.val, self.session.splits.test)
        ]
        assert errors[0] is not None
        cell = Cell(pretraining.name, depth, seed, errors[0], errors[1], self.last_epoch(phase))
        write_atomically(result, json.dumps(asdict(cell), allow_nan=False).encode())
        return cell

    def last_epoch(self, phase: str) -> float:
        """Returns the last epoch that the phase recorded."""
        records = read_records(self.session.run.folder)
        return float(max(record["epoch"] for record in records if record["phase"] == phase))


def report(stacking: Stacking, cells: list[Cell]) -> None:
    """Writes the curves, the comparison and run.json's final entries."""
    session = stacking.session
    save_curves(session.figures / "curves.png", read_records(session.run.folder))
    metrics: dict[str, float] = {}
    if cells:
        compare(stacking, cells)
        metrics = {
            f"{cell.pretraining}-{cell.depth}-seed{cell.seed}_error": cell.error for cell in cells
        }
        # A sweep is compared by the network whose encoder is written: its settings may not change
        # the networks that are trained for comparison.
        deepest = max(cell.depth for cell in cells)
        left = (stacking.result.name, deepest)
        errors = [cell.val_error for cell in cells if (cell.pretraining, cell.depth) == left]
        metrics["val_error"] = sum(errors) / len(errors)
    validation = Validation("val_error", larger_is_better=False) if cells else None
    session.run.finish(metrics, validation, peak_memory_bytes=session.compute.peak_memory_bytes())
    session.console.say(f"run: {session.run.folder}")


def compare(stacking: Stacking, cells: list[Cell]) -> None:
    """Writes results.json and the plot, and prints the table."""
    session, splits = stacking.session, stacking.session.splits
    num_labels, test = len(stacking.labelled or []), splits.test
    protocol = Protocol(
        trained_on=f"{num_labels} labels",
        chosen_on=f"{len(splits.val)} validation pictures",
        tested_on="no test part" if test is None else f"{len(test)} test pictures, once a network",
        data_fingerprint=splits.fingerprint,
        details={
            "classifier": "linear layer on the last code, whole network trained by cross-entropy"
        },
    )
    rows = [cell.row() for cell in cells]
    write_results(session.run.folder, Results("stack-pretrain", protocol, rows))
    error = f"{'validation' if test is None else 'test'} error [%]"
    results = [(cell.pretraining, cell.depth, cell.seed, cell.error) for cell in cells]
    save_depth_comparison(session.figures / "depths.png", results, error)
    title = f"{error}, fine-tuned on {num_labels} labels"
    session.console.table(title, comparison_columns(results), comparison_rows(results))
