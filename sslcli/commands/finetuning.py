"""The work of `finetune`: a labelled subset, a classifier trained on it until validation is no better, test read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sslcli.augment.views import ViewConfig
from sslcli.commands.encoder_files import EncoderFiles, initial_encoder, read_encoder, write_encoder
from sslcli.commands.finetune import Config, Initial
from sslcli.commands.phases import train_phase
from sslcli.commands.preparation import prepare_evaluation
from sslcli.data.batches import LabelledBatches
from sslcli.data.images import ImageSet, Splits
from sslcli.data.subset import label_subset
from sslcli.engine.device import Compute
from sslcli.engine.run import Run, Validation, read_records, write_atomically
from sslcli.evaluation.classifier import Classifier
from sslcli.evaluation.scores import confusion_matrix, labels_of, per_class_accuracy, top_k_accuracy
from sslcli.nets.encoder import Encoder

if TYPE_CHECKING:
    from sslcli.console import Console

PHASE = "finetune"
FEWEST_STEPS = 20
"""Between two evaluations, or checkpoints: with few labels an epoch is a handful of steps."""


def finetune(config: Config, run: Run, console: Console) -> dict[str, Any]:
    """Trains, and returns the scores with their protocol."""
    files = read_encoder(Path(config.run))
    compute, splits = prepare_evaluation("finetune", run, [files], config.data, config.runtime, console)
    assert splits.train.labels is not None
    chosen = label_subset(splits.train.labels, config.labels, config.seed, classes=splits.classes)
    labelled = splits.train.subset(chosen)
    classifier = built(config, files, splits, compute)
    trained(config, run, PHASE, console, compute, classifier, labelled, splits)
    seed = files.seed if config.init is Initial.run else config.seed
    write_encoder(run.folder, classifier.encoder, files.config, files.preprocessing, seed, labels=len(labelled))
    run.update(peak_memory_bytes=compute.peak_memory_bytes())
    return scores(config, classifier, labelled, splits, compute)


def built(config: Config, files: EncoderFiles, splits: Splits, compute: Compute) -> Classifier:
    """The classifier as it is before training, on the device."""
    shape, settings = files.preprocessing, config.training
    encoder: Encoder = files.load()
    if config.init is Initial.random:
        encoder = initial_encoder(files.config, shape.channels, shape.resolution, config.seed)
    classifier = Classifier.of(encoder, splits.num_classes, shape, settings.patience)
    crop_and_flip = ViewConfig(crop_scale=settings.crop_scale, flip=settings.flip, jitter=0, grayscale=0, solarize=0)
    classifier.augmentation = crop_and_flip.build(shape.mean, shape.std)
    classifier.head_rate = settings.head_rate
    for module in classifier.modules().values():
        compute.place(module)
    if config.runtime.compile:
        encoder.compile()
    return classifier


def trained(
    config: Config,
    run: Run,
    phase: str,
    console: Console,
    compute: Compute,
    classifier: Classifier,
    labelled: ImageSet,
    splits: Splits,
) -> None:
    """Trains from the last checkpoint, or from the start; the classifier is left with the weights best on validation."""
    settings, optim = config.training, config.optim
    pictures = LabelledBatches(labelled, min(settings.batch_size, len(labelled)), config.seed, compute.device)
    in_epoch = pictures.steps_per_epoch
    num_steps = max(settings.epochs * in_epoch, settings.steps)
    classifier.frozen_steps = settings.frozen_epochs * in_epoch

    train_phase(
        phase,
        classifier,
        pictures,
        optim,
        classifier.validation(splits.val, compute.device),
        num_steps,
        recording=config,
        run=run,
        compute=compute,
        seed=config.seed,
        console=console,
        fewest_steps=FEWEST_STEPS,
    )
    classifier.best.put_back()


def scores(
    config: Config, classifier: Classifier, labelled: ImageSet, splits: Splits, compute: Compute
) -> dict[str, Any]:
    """On test, read here and only here; the weights were chosen on validation."""
    assert splits.test is not None
    found = classifier.logits(splits.test, compute.device)
    true, count, predictions = labels_of(splits.test, compute.device), splits.num_classes, found.argmax(dim=1)
    settings = config.training
    began = f"the run's weights ({config.run})" if config.init is Initial.run else f"random weights, seed {config.seed}"
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


def report(result: dict[str, Any], config: Config, run: Run, console: Console) -> None:
    """results.json, the confusion matrix, the curves, the link in the source run, and the table."""
    from sslcli.commands.evaluation_link import link
    from sslcli.report.figures import save_confusion, save_curves

    summary = {"run": config.run, "init": config.init.name, "labels": config.labels, "seed": config.seed}
    write_atomically(run.folder / "results.json", json.dumps({**summary, "results": result}, indent=2).encode())
    run.figures.mkdir(exist_ok=True)
    matrix = np.array(result["confusion"], dtype=np.int64)
    save_confusion(run.figures / "confusion.png", run.folder / "confusion.csv", matrix, result["classes"])
    save_curves(run.figures / "curves.png", read_records(run.folder))
    metrics = {key: result[key] for key in ("top1", "top5", "val_top1")}
    about = {**summary, "command": "finetune", "run": str(run.folder.absolute())}
    link(Path(config.run), {**about, **metrics}, console)
    run.finish(metrics, Validation("val_top1"))
    title = f"test accuracy, {result['protocol']['trained_on']}"
    row = (f"from {config.init.name} weights", *(f"{100 * metrics[key]:.2f} %" for key in ("top1", "top5", "val_top1")))
    console.table(title, ("fine-tuned", "top-1", "top-5", "validation"), [row])
    console.say(f"run: {run.folder}")
