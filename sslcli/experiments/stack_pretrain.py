"""The work of `stack-pretrain`: for every seed and kind of pretraining, layer after layer and then the fine-tuning of every
depth, each an ordinary training in a phase of its own. A finished phase is skipped on resume."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.images import ImageSet, evenly
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
from sslcli.seeding import derive_seed
from sslcli.trained.encoder import build_initial, write_encoder

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_WATCHED = 1000
"""Validation pictures whose reconstruction is followed."""


@dataclass(frozen=True)
class Cell:
    """One trained network of the comparison. Errors in percent; `test_error` None where there is no test part."""

    pretraining: str
    depth: int
    seed: int
    val_error: float
    test_error: float | None
    epochs: float

    @property
    def error(self) -> float:
        return self.val_error if self.test_error is None else self.test_error


def run(config: Config, run: Run, console: Console) -> None:
    """Trains every network of the comparison that is not yet; leaves encoder, table and plot."""
    Stacking.open(config, run, console).run()


@dataclass(frozen=True)
class Stacking:
    config: Config
    session: Session
    labelled: ImageSet | None
    preprocessing: Preprocessing

    @classmethod
    def open(cls, config: Config, run: Run, console: Console) -> Stacking:
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
            message = "nothing would be trained: compare=[none] pretrains no layer, and there is no fine-tuning"
            raise SslcliError(
                message,
                "compare=[denoising], or fine-tune: finetune.epochs above 0, pictures with labels",
            )
        channels = splits.train.channels
        plain = Preprocessing(
            splits.train.resolution, channels, (0.0,) * channels, (1.0,) * channels
        )
        return cls(config, session, labelled, plain)

    def run(self) -> None:
        """Trains what is not trained yet, and reports."""
        cells: list[Cell] = []
        first = True
        for seed in self.config.seeds:
            for pretraining in self.config.compare:
                encoder = self.pretrained(pretraining, seed)
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
                    cells += [self.finetuned(encoder, pretraining, depth, seed) for depth in depths]
        self.report(cells)

    @property
    def result(self) -> Pretraining:
        """Whose encoder the run leaves, of the first seed: the last of the comparison that was pretrained."""
        return [
            kind
            for kind in self.config.compare
            if kind is not Pretraining.none or len(self.config.compare) == 1
        ][-1]

    def pretrained(self, pretraining: Pretraining, seed: int) -> LayeredEncoder:
        """The network of a seed, its layers trained one after another. All kinds begin with the same weights."""
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
            watched = torch.from_numpy(val.images[evenly(len(val), NUM_WATCHED)]).to(
                self.session.compute.device
            )

            def reconstruction(
                _: int, learner: StackedLayer = learner, watched: Tensor = watched
            ) -> dict[str, float]:
                with torch.no_grad(), eval_mode(learner.layer):
                    codes = learner.views(watched)
                    return {"val_loss": float(learner.reconstruction_loss(codes, codes))}

            name = f"{pretraining.name}-{seed}/layer-{depth}"
            num_steps = epochs * pictures.steps_per_epoch
            training = Training(learner, pictures, config.optim, reconstruction, num_steps, seed)
            train_phase(self.session, name, training, config)
            encoder.eval()
        return encoder

    def finetuned(
        self, pretrained: LayeredEncoder, pretraining: Pretraining, depth: int, seed: int
    ) -> Cell:
        """The network's first `depth` layers with a classifier on top, trained as a whole; test is read once."""
        phase = f"{pretraining.name}-{seed}/finetune-{depth}"
        result = self.session.run.folder / phase / "result.json"
        if result.exists():
            skip_finished(self.session.run, phase)
            return Cell(**json.loads(result.read_text()))
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
        write_atomically(result, json.dumps(cell.__dict__).encode())
        return cell

    def last_epoch(self, phase: str) -> float:
        records = read_records(self.session.run.folder)
        return float(max(record["epoch"] for record in records if record["phase"] == phase))

    def report(self, cells: list[Cell]) -> None:
        """Table, plot and results.json, with the protocol beside the numbers."""
        run, test = self.session.run, self.session.splits.test
        save_curves(self.session.figures / "curves.png", read_records(run.folder))
        metrics: dict[str, Any] = {}
        if cells:
            tested = "test" if test is not None else "validation"
            protocol = {
                "classifier": "linear layer on the last code, whole network trained by cross-entropy",
                "finetuned_on": f"{len(self.labelled or [])} labels",
                "stopped_and_chosen_on": f"{len(self.session.splits.val)} validation pictures",
                "tested_on": "no test part"
                if test is None
                else f"{len(test)} test pictures, once a network",
                "data_fingerprint": self.session.splits.fingerprint,
            }
            content = {"protocol": protocol, "networks": [cell.__dict__ for cell in cells]}
            write_atomically(run.folder / "results.json", json.dumps(content, indent=2).encode())
            results = [(cell.pretraining, cell.depth, cell.seed, cell.error) for cell in cells]
            save_depth_comparison(
                self.session.figures / "depths.png", results, f"{tested} error [%]"
            )
            title = f"{tested} error [%], fine-tuned on {len(self.labelled or [])} labels"
            self.session.console.table(title, comparison_columns(results), comparison_rows(results))
            metrics = {
                f"{cell.pretraining}-{cell.depth}-seed{cell.seed}_error": cell.error
                for cell in cells
            }
            # What a sweep is chosen by: not the networks that stand beside it for comparison, which its settings may not touch.
            deepest = max(cell.depth for cell in cells)
            kept = [
                c.val_error
                for c in cells
                if (c.pretraining, c.depth) == (self.result.name, deepest)
            ]
            metrics["val_error"] = sum(kept) / len(kept)
        validation = Validation("val_error", larger_is_better=False) if cells else None
        run.finish(metrics, validation, peak_memory_bytes=self.session.compute.peak_memory_bytes())
        self.session.console.say(f"run: {run.folder}")
