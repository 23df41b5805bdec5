"""States what `stack-pretrain` would train: its layers, and the networks that are fine-tuned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import Any

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.images import Track
from sslcli.data.subset import label_subset
from sslcli.engine.device import Compute
from sslcli.engine.train import Pictures
from sslcli.evaluation.classifier import Classifier
from sslcli.experiments.stack_pretrain_config import Config, Pretraining
from sslcli.method import Preprocessing
from sslcli.methods.stacked_layer import StackedLayer
from sslcli.nets.layered import LayeredEncoder
from sslcli.tools.plan.machine import Machine
from sslcli.tools.plan.pretraining import Counted, counted
from sslcli.tools.plan.subject import Subject, planned_compute
from sslcli.trained.data import load_splits
from sslcli.trained.encoder import build_initial


def stacking(config: Config, machine: Machine, track: Track) -> list[Subject]:
    """States every training, those that differ by seed or kind as one that happens several times.

    Raises SslcliError where the command would, at its start.
    """
    stack = Stack(config, counted(config.data, machine.processes, track), machine, track)
    return [*stack.layers(), *stack.networks()]


@dataclass(frozen=True)
class Stack:
    """Holds what the trainings of a stack share."""

    config: Config
    found: Counted
    machine: Machine
    track: Track

    def layers(self) -> Iterator[Subject]:
        """Yields the training of each layer, of all networks that are pretrained."""
        config, num_layers = self.config, len(self.encoder().layers)
        kinds = [kind for kind in config.compare if kind is not Pretraining.none]
        for depth in range(1, num_layers + 1) if kinds else ():
            level, epochs = config.of_layer(depth)
            noise = config.noise.at(level if Pretraining.denoising in kinds else 0.0)

            def build(depth: int = depth, noise: Any = noise) -> StackedLayer:
                encoder, kind = self.encoder(), config.reconstruction
                return StackedLayer.of(encoder, depth, noise.build(), kind, config.tied)

            def real(build: Any = build) -> tuple[StackedLayer, Pictures[Any]]:
                learner, part = build(), load_splits(config.data, self.track).pretraining
                self.here.to_device(learner.encoder.eval())
                return learner, Batches(part, config.batch_size, 0, self.here.device)

            yield Subject(
                title=f"{self.title}, layer {depth} of {num_layers}",
                build=build,
                real=real,
                labelled=False,
                optim=config.optim,
                recording=config,
                compute=self.compute,
                num_images=self.found.pretraining,
                shape=self.found.shape,
                batch_size=config.batch_size,
                epochs=epochs,
                cached=self.found.cached if depth == 1 else 0,
                kept=attrgetter("layer"),
                times=len(kinds) * len(config.seeds),
            )

    def networks(self) -> Iterator[Subject]:
        """Yields the fine-tuning of each depth, where there are labels."""
        config, settings, labels = self.config, self.config.finetune, self.found.labels
        if labels is None or not settings.epochs:
            return
        classes = self.found.classes
        chosen = label_subset(labels, settings.labels, 0, field="finetune.labels", classes=classes)
        batch_size = min(settings.batch_size, len(chosen))
        num_layers = len(self.encoder().layers)
        for depth in config.finetuned_depths(num_layers):

            def build(depth: int = depth) -> Classifier:
                encoder, count = self.encoder().up_to(depth), len(classes or ())
                return Classifier.of(encoder, count, self.preprocessing, settings.patience)

            def real(build: Any = build) -> tuple[Classifier, Pictures[Any]]:
                labelled = load_splits(config.data, self.track).train.subset(chosen)
                return build(), LabelledBatches(labelled, batch_size, 0, self.here.device)

            yield Subject(
                title=f"{self.title}, {depth} of {num_layers} layers, with a classifier",
                build=build,
                real=real,
                labelled=True,
                optim=replace(config.optim, lr=settings.lr),
                recording=config,
                compute=self.compute,
                num_images=len(chosen),
                shape=self.found.shape,
                batch_size=batch_size,
                epochs=settings.epochs,
                encoders=0,
                batch_key="finetune.batch_size",
                times=len(config.compare) * len(config.seeds),
            )

    @cached_property
    def compute(self) -> Compute:
        return planned_compute(self.config.runtime, self.machine.elsewhere)

    @cached_property
    def here(self) -> Compute:
        return Compute.choose(self.config.runtime)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        side, _, channels = self.found.shape
        return Preprocessing(side, channels, (0.0,) * channels, (1.0,) * channels)

    @property
    def title(self) -> str:
        return f"stack-pretrain: {type(self.config.encoder).__name__.removesuffix('Config')}"

    def encoder(self) -> LayeredEncoder:
        """Returns the untrained network."""
        shape, seed = self.preprocessing, self.config.seeds[0]
        encoder = build_initial(self.config.encoder, shape.channels, shape.resolution, seed)
        assert isinstance(encoder, LayeredEncoder)
        return encoder
