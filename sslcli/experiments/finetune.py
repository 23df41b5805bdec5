"""Trains a classifier until validation gets no better, and tests it once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.data.batches import LabelledBatches
from sslcli.data.images import ImageSet, Splits
from sslcli.data.subset import label_subset
from sslcli.evaluation.classifier import Classifier
from sslcli.evaluation.scores import (
    confusion_matrix,
    labels_of,
    per_class_accuracy,
    top_accuracies,
)
from sslcli.experiments.finetune_config import Config, Initial
from sslcli.experiments.given import open_given
from sslcli.experiments.session import Session, Training, open_evaluation, train_phase
from sslcli.report.figures import save_confusion, save_curves
from sslcli.runs.evaluations import Evaluation, append_evaluation
from sslcli.runs.folder import Run, Validation, read_records
from sslcli.runs.results import (
    Protocol,
    Results,
    Row,
    numbers,
    percentage,
    score,
    write_results,
)
from sslcli.trained.encoder import build_initial, load_trained, write_encoder
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console

PHASE = "finetune"
FEWEST_STEPS = 20
"""Least number of steps between evaluations, or checkpoints: few labels make short epochs."""


def run(config: Config, run: Run, console: Console) -> None:
    """Trains from the last checkpoint or from the start; reads test once, at the end."""
    session, files = opened(config, run, console)
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
    results = Results(
        "finetune",
        describe_protocol(config, labelled, splits),
        [score_on_test(classifier, session)],
        runs=[] if config.run is None else [config.run],
        settings={
            **config.chosen(),
            "init": config.init.name,
            "labels": config.labels,
            "seed": config.seed,
        },
        classes=session.classes,
    )
    report(config, session, results)


def opened(config: Config, run: Run, console: Console) -> tuple[Session, EncoderFiles]:
    """Opens the session, and reads the encoder that is trained on."""
    if config.run is None:
        return open_given("finetune", run, config, console, config.seed)
    files = config.read(Path(config.run))
    session = open_evaluation(
        "finetune", run, [files], config.data, config.runtime, console, config.data_root
    )
    return session, files


def build_classifier(config: Config, files: EncoderFiles, session: Session) -> Classifier:
    """Returns the untrained classifier, on the device."""
    shape, settings = files.preprocessing, config.training
    if config.init is Initial.random:
        encoder = build_initial(files.config, shape.channels, shape.resolution, config.seed)
    else:
        encoder = load_trained(files)
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
    """Trains from the last checkpoint or the start, and restores the best weights."""
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


def score_on_test(classifier: Classifier, session: Session) -> Row:
    """Measures the accuracy on test, which nothing else reads."""
    splits, device = session.splits, session.compute.device
    assert splits.test is not None
    logits, labels = classifier.logits(splits.test, device), labels_of(splits.test, device)
    predictions, num_classes = logits.argmax(dim=1), splits.num_classes
    return Row(
        "finetuned",
        scores={
            **top_accuracies(logits, labels),
            "val_top1": float(classifier.best.accuracy),
        },
        per_class=[score(v) for v in per_class_accuracy(predictions, labels, num_classes)],
        confusion=confusion_matrix(predictions, labels, num_classes).tolist(),
    )


def describe_protocol(config: Config, labelled: ImageSet, splits: Splits) -> Protocol:
    """Describes how the classifier was trained and measured."""
    assert splits.test is not None
    settings = config.training
    initial = (
        weights_of(config) if config.init is Initial.run else f"random weights, seed {config.seed}"
    )
    crops = f"crops of at least {settings.crop_scale[0]:g} of the area"
    mirrored = ", mirrored" if settings.flip else ""
    network = f"encoder and a linear layer on its output, trained together from {initial}"
    return Protocol(
        trained_on=f"{len(labelled)} labels, {crops}{mirrored}",
        chosen_on=f"{len(splits.val)} validation pictures, whole, in eval mode: "
        "when training ends, and whose weights are taken",
        tested_on=f"{len(splits.test)} test pictures, once",
        data_fingerprint=splits.fingerprint,
        details={"network": network},
    )


def weights_of(config: Config) -> str:
    """Names the weights that training began with."""
    if config.run is not None:
        return f"the run's weights ({config.run}){config.described()}"
    assert config.encoder is not None, "resolve requires one of them"
    return f"given weights ({config.encoder.weights})"


def report(config: Config, session: Session, results: Results) -> None:
    """Writes the results, the figures and the evaluated run's line; prints the table."""
    run, console = session.run, session.console
    (row,) = results.rows
    write_results(run.folder, results)
    matrix = np.array(row.confusion, dtype=np.int64)
    save_confusion(
        session.figures / "confusion.png", run.folder / "confusion.csv", matrix, results.classes
    )
    save_curves(session.figures / "curves.png", read_records(run.folder))
    metrics, folder = numbers(row.scores), str(run.folder.absolute())
    evaluation = Evaluation("finetune", folder, results.settings, metrics)
    if config.run is not None:
        append_evaluation(Path(config.run), evaluation, console)
    run.finish(metrics, Validation("val_top1"))
    columns = {"top1": "top-1", "top5": "top-5", "val_top1": "validation"}
    title = f"test accuracy, {results.protocol.trained_on}"
    begins = "given" if config.run is None and config.init is Initial.run else config.init.name
    cells = (f"from {begins} weights", *map(percentage, row.scores.values()))
    console.table(title, ("fine-tuned", *(columns[name] for name in row.scores)), [cells])
    console.say(f"run: {run.folder}")
