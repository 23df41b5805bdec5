"""Measures a run's encoder by a linear probe and kNN, beside raw pixels and the untrained encoder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sslcli.console import duration
from sslcli.data.images import ImageSet, evenly
from sslcli.data.subset import label_subset
from sslcli.engine.device import Compute
from sslcli.errors import SslcliError
from sslcli.evaluation.features import features, pixels
from sslcli.evaluation.knn import knn_scores
from sslcli.evaluation.probe import Standardizer, select_probe
from sslcli.evaluation.scores import (
    confusion_matrix,
    labels_of,
    per_class_accuracy,
    top_k_accuracy,
)
from sslcli.experiments.linear_eval_config import Config
from sslcli.experiments.session import Session, open_evaluation
from sslcli.files import write_atomically
from sslcli.nets.encoder import Encoder
from sslcli.report.figures import save_confusion
from sslcli.runs.evaluations import link
from sslcli.runs.folder import Run, Validation, read_facts
from sslcli.text import shell_quoted
from sslcli.trained.encoder import build_untrained, load_trained
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_STANDARDIZED = 10_000
"""Training pictures, at even distances, that standardise features where few are labelled."""


def run(config: Config, run: Run, console: Console) -> None:
    """Features once, a probe and kNN on them, for the trained encoder and the baselines; test is read here, once."""
    files = read_encoder(Path(config.run))
    ceiling = None if config.ceiling is None else read_encoder(Path(config.ceiling))
    if ceiling is not None and ceiling.config != files.config:
        message = f"ceiling={config.ceiling} trained another network than {config.run}"
        raise SslcliError(
            message, f"make one of this: sslcli finetune run={shell_quoted(config.run)} init=random"
        )
    sources = [files] if ceiling is None else [files, ceiling]
    session = open_evaluation("linear-eval", run, sources, config.data, config.runtime, console)
    splits = session.splits
    assert splits.train.labels is not None
    chosen = label_subset(splits.train.labels, config.labels, config.seed, classes=splits.classes)
    labelled = splits.train.subset(chosen)

    results: dict[str, Any] = {}
    for step, (name, extract) in enumerate(
        _subjects(config, files, ceiling, session.compute).items()
    ):
        began = time.perf_counter()
        results[name] = _evaluate(extract, labelled, session, config)
        seconds = round(time.perf_counter() - began, 3)
        results[name]["seconds"] = seconds
        scores = {key: results[name][key] for key in ("top1", "top5", "knn", "val_top1", "l2")}
        run.record(
            {
                "phase": "linear-eval",
                "step": step,
                "epoch": 0,
                "features": name,
                **scores,
                "timing": {"seconds": seconds},
            }
        )
        doubt = results[name].pop("doubt")
        if doubt:
            console.warn(f"l2 of the probe on the {name.replace('_', ' ')} is {doubt}")
    _finish(config, session, results, files.labels)
    _report(config, session, results, files.labels)


def _subjects(
    config: Config, files: EncoderFiles, ceiling: EncoderFiles | None, compute: Compute
) -> dict[str, Any]:
    """What is compared: functions from pictures (N, H, W, C) uint8 to features (N, D)."""

    def of(encoder: Any, source: EncoderFiles = files) -> Any:
        compute.to_device(encoder)
        if config.runtime.compile:
            encoder.compile()
        return lambda images: features(encoder, images, source.preprocessing, compute.device)

    def cut(encoder: Encoder) -> Encoder:
        return encoder if config.layer is None else encoder.up_to(config.layer)

    subjects: dict[str, Any] = {"trained_encoder": of(cut(load_trained(files)))}
    if config.baselines:
        subjects["untrained_encoder"] = of(cut(build_untrained(files)))
        subjects["raw_pixels"] = lambda images: pixels(images).to(compute.device)
    if ceiling is not None:
        subjects["supervised_ceiling"] = of(load_trained(ceiling), ceiling)
    return subjects


def _evaluate(extract: Any, labelled: ImageSet, session: Session, config: Config) -> dict[str, Any]:
    """One subject's scores on test; whatever is chosen is chosen on validation."""
    splits, compute = session.splits, session.compute
    assert splits.test is not None
    train, val, test = (extract(part.images) for part in (labelled, splits.val, splits.test))
    train_labels, val_labels, test_labels = (
        labels_of(part, compute.device) for part in (labelled, splits.val, splits.test)
    )
    num_classes = splits.num_classes
    # With few labels the validation part's are more than the probe may see: it chooses l2 on them and learns from its own.
    refit = config.labels == 1 and len(val) <= len(train)
    seen = evenly(len(splits.train), NUM_STANDARDIZED)
    standardizer = None if refit else Standardizer.fit(extract(splits.train.images[seen]))
    selection = select_probe(
        train,
        train_labels,
        val,
        val_labels,
        num_classes,
        config.l2,
        refit=refit,
        standardizer=standardizer,
    )
    logits = selection.probe.logits(test)
    k = min(config.knn_k, len(train))
    votes = knn_scores(train, train_labels, test, num_classes, k, config.knn_temperature)
    predictions = logits.argmax(dim=1)
    layer = "encoder output" if config.layer is None else f"output of layer {config.layer}"
    return {
        "top1": top_k_accuracy(logits, test_labels),
        "top5": top_k_accuracy(logits, test_labels, min(5, num_classes)),
        "knn": top_k_accuracy(votes, test_labels),
        "val_top1": selection.accuracies[selection.l2],
        "l2": selection.l2,
        "doubt": selection.doubt,
        "val_top1_by_l2": {f"{l2:g}": accuracy for l2, accuracy in selection.accuracies.items()},
        "width": train.shape[1],
        "per_class": per_class_accuracy(predictions, test_labels, num_classes).tolist(),
        "confusion": confusion_matrix(predictions, test_labels, num_classes).tolist(),
        "protocol": {
            "probe": "multinomial logistic regression, L-BFGS, on features standardised by those "
            + (
                "it was fitted on"
                if refit
                else f"of {len(seen):,} training pictures, without their labels"
            ),
            "features": f"{layer}, eval mode, float32, no augmentation",
            "l2_chosen_on": f"{len(val_labels)} validation pictures",
            "fitted_on": f"{len(train_labels)} training"
            + (f" + {len(val_labels)} validation" if refit else "")
            + " labels",
            "tested_on": f"{len(test_labels)} test pictures, once",
            "knn_k": k,
            "knn_temperature": config.knn_temperature,
        },
    }


def _finish(config: Config, session: Session, results: dict[str, Any], learned_from: int) -> None:
    """Writes results.json with its protocol, the confusion matrix, and the source run's link."""
    run, splits = session.run, session.splits
    trained = results["trained_encoder"]
    summary = {
        "run": config.run,
        "encoder_learned_from_labels": learned_from,
        "ceiling": config.ceiling,
        "labels": config.labels,
        "seed": config.seed,
        "data_fingerprint": splits.fingerprint,
    }
    text = json.dumps({**summary, "results": results}, indent=2)
    write_atomically(run.folder / "results.json", text.encode())
    matrix = _matrix(trained["confusion"])
    classes = splits.classes or tuple(str(index) for index in range(len(matrix)))
    save_confusion(session.figures / "confusion.png", run.folder / "confusion.csv", matrix, classes)
    metrics = {key: trained[key] for key in ("top1", "top5", "knn", "val_top1")}
    metrics.update(
        {
            f"{name}_top1": result["top1"]
            for name, result in results.items()
            if name != "trained_encoder"
        }
    )
    about = {
        "command": "linear-eval",
        "run": str(run.folder.absolute()),
        "labels": config.labels,
        "seed": config.seed,
    }
    link(Path(config.run), {**about, **metrics}, session.console)
    run.finish(
        metrics, Validation("val_top1"), peak_memory_bytes=session.compute.peak_memory_bytes()
    )


def _matrix(rows: list[list[int]]) -> NDArray[np.int64]:
    return np.array(rows, dtype=np.int64)


def _report(config: Config, session: Session, results: dict[str, Any], learned_from: int) -> None:
    console = session.console

    def row(name: str, result: dict[str, Any]) -> tuple[str, ...]:
        accuracies = (f"{100 * result[key]:.2f} %" for key in ("top1", "top5", "knn"))
        return (name.replace("_", " "), *accuracies, f"{result['seconds']:.1f} s")

    source, here = Path(config.run), Path.cwd()
    title = f"test accuracy, {results['trained_encoder']['protocol']['fitted_on']}"
    columns = (
        "features",
        "linear probe",
        "top-5",
        f"kNN (k={results['trained_encoder']['protocol']['knn_k']})",
        "time",
    )
    console.table(title, columns, [row(name, result) for name, result in results.items()])
    how = f"trained on {learned_from:,} labels" if learned_from else "pretrained"
    named = source.relative_to(here) if source.is_relative_to(here) else source
    console.say(f"{how} in {duration(read_facts(source)['seconds'])}: {named}")
    console.say(f"run: {session.run.folder}")
