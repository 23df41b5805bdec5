"""The work of `finetune`: a labelled subset, a classifier trained on it until validation is no better, test read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sslcli.augment.views import ViewConfig
from sslcli.commands.encoder_files import EncoderFiles, initial_encoder, read_encoder
from sslcli.commands.finetune import Config, Initial
from sslcli.commands.preparation import prepare
from sslcli.commands.run_data import run_data_config
from sslcli.commands.same_data import require_same_data
from sslcli.data.batches import LabelledBatches
from sslcli.data.images import ImageSet, Splits
from sslcli.data.needs import require_labels, require_test
from sslcli.data.subset import label_subset
from sslcli.engine.checkpoint import Phase
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.run import Run, read_records, write_atomically
from sslcli.engine.train import Periods, train
from sslcli.evaluation.classifier import Classifier
from sslcli.evaluation.features import features, require_fit
from sslcli.evaluation.scores import confusion_matrix, per_class_accuracy, top_k_accuracy
from sslcli.nets.encoder import Encoder

if TYPE_CHECKING:
    from sslcli.console import Console

PHASE = "finetune"
FEWEST_STEPS = 20
"""Between two evaluations: with few labels an epoch is a handful of steps."""


def finetune(config: Config, run: Run, console: Console) -> dict[str, Any]:
    """Trains, and returns the scores with their protocol."""
    files = read_encoder(Path(config.run))
    compute, splits = prepare(run, config.runtime, run_data_config(files, config.data), console)
    if config.data is None:
        require_same_data(files.folder, splits, "name the data to fine-tune on with data=…")
    require_labels(splits, "finetune")
    require_test(splits, "finetune")
    require_fit(splits.train.images, files.preprocessing)
    assert splits.train.labels is not None
    chosen = label_subset(splits.train.labels, config.labels, config.seed, classes=splits.classes)
    labelled = splits.train.subset(chosen)
    classifier = built(config, files, splits, compute)
    trained(config, run, PHASE, console, compute, classifier, labelled, splits)
    return scores(config, classifier, labelled, splits, compute)


def built(config: Config, files: EncoderFiles, splits: Splits, compute: Compute) -> Classifier:
    """The classifier as it is before training, on the device."""
    shape, settings = files.preprocessing, config.training
    encoder: Encoder = files.load()
    if config.init is Initial.random:
        encoder = initial_encoder(files.config, shape.channels, shape.resolution, config.seed)
    classifier = Classifier.of(encoder, num_classes(splits), shape, settings.patience)
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

    def validation(_: int) -> dict[str, float]:
        accuracy = top_k_accuracy(logits(classifier, splits.val, compute), labels(splits.val, compute))
        classifier.best.observe(accuracy)
        return {"val_accuracy": accuracy}

    with console.training(phase, num_steps) as watch:
        train(
            classifier,
            pictures,
            Minimizer.of(classifier, optim, compute),
            lambda step: optim.learning_rate(step, num_steps, in_epoch, pictures.batch_size),
            validation,
            Phase(run, phase, config.keep_last),
            Periods(
                num_steps, config.log_every, max(in_epoch, FEWEST_STEPS), max(1, round(config.save_every * in_epoch))
            ),
            compute,
            config.seed,
            watch,
        )
    classifier.best.put_back()


def scores(
    config: Config, classifier: Classifier, labelled: ImageSet, splits: Splits, compute: Compute
) -> dict[str, Any]:
    """On test, read here and only here; the weights were chosen on validation."""
    assert splits.test is not None
    found, true = logits(classifier, splits.test, compute), labels(splits.test, compute)
    count, predictions = num_classes(splits), found.argmax(dim=1)
    settings = config.training
    began = f"the run's weights ({config.run})" if config.init is Initial.run else f"random weights, seed {config.seed}"
    return {
        "top1": top_k_accuracy(found, true),
        "top5": top_k_accuracy(found, true, min(5, count)),
        "val_top1": float(classifier.best.accuracy),
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
    names = tuple(str(index) for index in range(len(matrix)))
    save_confusion(run.figures / "confusion.png", run.folder / "confusion.csv", matrix, names)
    save_curves(run.figures / "curves.png", read_records(run.folder))
    metrics = {key: result[key] for key in ("top1", "top5", "val_top1")}
    link(Path(config.run), {"command": "finetune", "run": str(run.folder.absolute()), **summary, **metrics}, console)
    run.update(status="finished", metrics=metrics)
    title = f"test accuracy, {result['protocol']['trained_on']}"
    row = (f"from {config.init.name} weights", *(f"{100 * metrics[key]:.2f} %" for key in ("top1", "top5", "val_top1")))
    console.table(title, ("fine-tuned", "top-1", "top-5", "validation"), [row])
    console.say(f"run: {run.folder}")


def num_classes(splits: Splits) -> int:
    parts = (splits.train, splits.val, splits.test)
    return 1 + max(int(part.labels.max()) for part in parts if part is not None and part.labels is not None)


def logits(classifier: Classifier, part: ImageSet, compute: Compute) -> Tensor:
    shape = classifier.preprocessing
    return features(classifier.network(), part.images, shape, compute.device, autocast_dtype=compute.dtype)


def labels(part: ImageSet, compute: Compute) -> Tensor:
    assert part.labels is not None
    return torch.from_numpy(part.labels).to(compute.device)
