"""The work of `finetune`: a labelled subset, a classifier trained on it until validation is no better, test read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.data.batches import LabelledBatches
from sslcli.data.images import ImageSet
from sslcli.data.subset import label_subset
from sslcli.evaluation.classifier import Classifier
from sslcli.evaluation.scores import (
    confusion_matrix,
    labels_of,
    per_class_accuracy,
    top_k_accuracy,
)
from sslcli.experiments.finetune_config import Config, Initial
from sslcli.experiments.session import Session, Training, open_evaluation, train_phase
from sslcli.files import write_atomically
from sslcli.report.figures import save_confusion, save_curves
from sslcli.runs.evaluations import link
from sslcli.runs.folder import Run, Validation, read_records
from sslcli.trained.encoder import build_initial, load_trained, write_encoder
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

if TYPE_CHECKING:
    from sslcli.console import Console

PHASE = "finetune"
FEWEST_STEPS = 20
"""Between two evaluations, or checkpoints: with few labels an epoch is a handful of steps."""


def run(config: Config, run: Run, console: Console) -> None:
    """Trains from the last checkpoint or from the start; reads test once, at the end."""
    files = read_encoder(Path(config.run))
    session = open_evaluation("finetune", run, [files], config.data, config.runtime, console)
    splits, compute = session.splits, session.compute
    assert splits.train.labels is not None
    chosen = label_subset(splits.train.labels, config.labels, config.seed, classes=splits.classes)
    labelled = splits.train.subset(chosen)
    classifier = build_classifier(config, files, session)
    train_classifier(session, PHASE, config, classifier, labelled)
    shape = files.preprocessing
    seed = files.seed if config.init is Initial.run else config.seed
    write_encoder(run.folder, classifier.encoder, files.config, shape, seed, labels=len(labelled))
    run.update(peak_memory_bytes=compute.peak_memory_bytes())
    report(score_on_test(config, classifier, labelled, session), config, session)


def build_classifier(config: Config, files: EncoderFiles, session: Session) -> Classifier:
    """Returns the classifier as it is before training, on the device."""
    shape, settings = files.preprocessing, config.training
    encoder = load_trained(files)
    if config.init is Initial.random:
        encoder = build_initial(files.config, shape.channels, shape.resolution, config.seed)
    classifier = Classifier.of(encoder, session.splits.num_classes, shape, settings.patience)
    crop_and_flip = ViewConfig(
        crop_scale=settings.crop_scale, flip=settings.flip, jitter=0, grayscale=0, solarize=0
    )
    classifier.augmentation = crop_and_flip.build(shape.mean, shape.std)
    classifier.head_rate = settings.head_rate
    for module in classifier.modules().values():
        session.compute.to_device(module)
    if config.runtime.compile:
        encoder.compile()
    return classifier


def train_classifier(
    session: Session, phase: str, config: Config, classifier: Classifier, labelled: ImageSet
) -> None:
    """Trains from the last checkpoint, or from the start.

    The classifier is left with the weights that were best on validation.
    """
    settings, device = config.training, session.compute.device
    batch_size = min(settings.batch_size, len(labelled))
    pictures = LabelledBatches(labelled, batch_size, config.seed, device)
    in_epoch = pictures.steps_per_epoch
    classifier.frozen_steps = settings.frozen_epochs * in_epoch
    training = Training(
        classifier,
        pictures,
        config.optim,
        classifier.validation(session.splits.val, device),
        max(settings.epochs * in_epoch, settings.steps),
        config.seed,
        FEWEST_STEPS,
    )
    train_phase(session, phase, training, config)
    classifier.best.put_back()


def score_on_test(
    config: Config, classifier: Classifier, labelled: ImageSet, session: Session
) -> dict[str, Any]:
    """Reads test, here and only here; the weights were chosen on validation."""
    splits, compute = session.splits, session.compute
    assert splits.test is not None
    found = classifier.logits(splits.test, compute.device)
    true, count, predictions = (
        labels_of(splits.test, compute.device),
        splits.num_classes,
        found.argmax(dim=1),
    )
    settings = config.training
    began = (
        f"the run's weights ({config.run})"
        if config.init is Initial.run
        else f"random weights, seed {config.seed}"
    )
    return {
        "top1": top_k_accuracy(found, true),
        "top5": top_k_accuracy(found, true, min(5, count)),
        "val_top1": float(classifier.best.accuracy),
        "classes": list(splits.classes or map(str, range(count))),
        "per_class": per_class_accuracy(predictions, true, count).tolist(),
        "confusion": confusion_matrix(predictions, true, count).tolist(),
        "protocol": {
            "network": f"encoder and a linear layer on its output, trained together from {began}",
            "trained_on": f"{len(labelled)} labels, crops of at least {settings.crop_scale[0]:g} of the area"
            f"{', mirrored' if settings.flip else ''}",
            "stopped_and_weights_chosen_on": f"{len(splits.val)} validation pictures, evaluated whole, in eval mode",
            "tested_on": f"{len(splits.test)} test pictures, once",
            "label_seed": config.seed,
            "data_fingerprint": splits.fingerprint,
        },
    }


def report(result: dict[str, Any], config: Config, session: Session) -> None:
    """Writes results.json, the figures and the source run's link; prints the table."""
    run, console = session.run, session.console
    summary = {
        "run": config.run,
        "init": config.init.name,
        "labels": config.labels,
        "seed": config.seed,
    }
    write_atomically(
        run.folder / "results.json", json.dumps({**summary, "results": result}, indent=2).encode()
    )
    matrix = np.array(result["confusion"], dtype=np.int64)
    save_confusion(
        session.figures / "confusion.png", run.folder / "confusion.csv", matrix, result["classes"]
    )
    save_curves(session.figures / "curves.png", read_records(run.folder))
    metrics = {key: result[key] for key in ("top1", "top5", "val_top1")}
    about = {**summary, "command": "finetune", "run": str(run.folder.absolute())}
    link(Path(config.run), {**about, **metrics}, console)
    run.finish(metrics, Validation("val_top1"))
    title = f"test accuracy, {result['protocol']['trained_on']}"
    row = (
        f"from {config.init.name} weights",
        *(f"{100 * metrics[key]:.2f} %" for key in ("top1", "top5", "val_top1")),
    )
    console.table(title, ("fine-tuned", "top-1", "top-5", "validation"), [row])
    console.say(f"run: {run.folder}")
