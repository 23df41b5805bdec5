"""States what `finetune` would train: it opens the run and the data as finetune does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sslcli.data.batches import LabelledBatches
from sslcli.data.subset import label_subset
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, Precision
from sslcli.engine.train import Pictures
from sslcli.evaluation.classifier import Classifier
from sslcli.experiments.finetune import build_classifier, opened
from sslcli.experiments.finetune_config import Config
from sslcli.tools.plan.subject import Subject, passing_run, planned_compute


def finetuning(config: Config, elsewhere: bool) -> Subject:
    """States what finetune would train. Raises SslcliError where it would, at its start."""
    compute, settings = planned_compute(config.runtime, elsewhere), config.training
    here = replace(config.runtime, device=DeviceChoice.cpu, precision=Precision.fp32, compile=False)
    there = replace(config, runtime=here)
    with passing_run("finetune") as (run, silent):
        session, files = opened(there, run, silent)
    splits, shape = session.splits, files.preprocessing
    assert splits.train.labels is not None
    chosen = label_subset(splits.train.labels, config.labels, config.seed, classes=splits.classes)
    batch_size = min(settings.batch_size, len(chosen))

    def build() -> Classifier:
        return build_classifier(there, files, session)

    def real() -> tuple[Classifier, Pictures[Any]]:
        device = Compute.choose(config.runtime).device
        labelled = splits.train.subset(chosen)
        return build(), LabelledBatches(labelled, batch_size, config.seed, device)

    network, side = type(files.config).__name__.removesuffix("Config"), shape.resolution
    return Subject(
        title=f"finetune: {network}, {len(chosen):,} labelled pictures of {side} x {side} px",
        build=build,
        real=real,
        labelled=True,
        optim=config.optim,
        recording=config,
        compute=compute,
        num_images=len(chosen),
        shape=(side, side, shape.channels),
        batch_size=batch_size,
        epochs=settings.epochs,
        fewest_steps=settings.steps,
        batch_key="training.batch_size",
    )
