"""Measures a run's encoder by a linear probe and kNN, and compares baselines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sslcli.data.images import ImageSet, Splits
from sslcli.data.subset import label_subset
from sslcli.evaluation.knn import knn_scores
from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import select_probe
from sslcli.evaluation.scores import (
    confusion_matrix,
    labels_of,
    per_class_accuracy,
    top_accuracies,
    top_k_accuracy,
)
from sslcli.experiments.extractors import Extract, build_extractors, opened
from sslcli.experiments.further_scores import (
    further_details,
    further_scores,
    require_enough,
    show_further,
)
from sslcli.experiments.linear_eval_config import Config
from sslcli.experiments.linear_eval_targets import evaluate_targets
from sslcli.experiments.probed import evaluated, origin, refits_on_validation, standardizing
from sslcli.experiments.segmentation import run_segmentation
from sslcli.experiments.session import Session
from sslcli.experiments.subject_config import RAW_PIXELS
from sslcli.report.figures import save_confusion
from sslcli.runs.evaluations import Evaluation, append_evaluation
from sslcli.runs.folder import Run, Validation
from sslcli.runs.results import (
    Protocol,
    Results,
    Row,
    Value,
    numbers,
    percentage,
    score,
    write_results,
)

if TYPE_CHECKING:
    from sslcli.console import Console


def run(config: Config, run: Run, console: Console) -> None:
    """Fits a probe and kNN on features extracted once; reads test here, once."""
    if config.masks is not None:
        run_segmentation(config, run, console)
        return
    session, files, ceiling = opened(config, run, console)
    splits = session.splits
    if splits.train.targets is not None:
        evaluate_targets(config, session, build_extractors(config, files, ceiling, session), files)
        return
    assert splits.train.labels is not None
    assert splits.test is not None
    require_enough(config, splits.test)
    chosen = label_subset(splits.train.labels, config.labels, config.seed, classes=splits.classes)
    labelled = splits.train.subset(chosen)

    rows = []
    extractors = build_extractors(config, files, ceiling, session)
    for step, (name, extract) in enumerate(extractors.items()):
        row = measure(name, extract, labelled, session, config)
        rows.append(row)
        record = {"phase": "linear-eval", "step": step, "epoch": 0, "features": name}
        l2, timing = row.settings["l2"], {"seconds": row.seconds}
        run.record({**record, **row.scores, "l2": l2, "timing": timing})
        if row.settings["l2_doubt"]:
            subject = name.replace("_", " ")
            console.warn(f"l2 of the probe on the {subject} is {row.settings['l2_doubt']}")
    results = Results(
        "linear-eval",
        describe_protocol(config, labelled, splits),
        rows,
        runs=[] if config.run is None else [config.run],
        settings={
            **evaluated(config),
            "ceiling": config.ceiling,
            "encoder_learned_from_labels": files.labels,
        },
        classes=session.classes,
    )
    finish(config, session, results)
    report(config, session, results, files.labels)


def measure(
    name: str, extract: Extract, labelled: ImageSet, session: Session, config: Config
) -> Row:
    """Returns one extractor's scores on test; what is chosen is chosen on validation."""
    began = time.perf_counter()
    splits, compute = session.splits, session.compute
    assert splits.test is not None
    train, val, test = (extract(part.images) for part in (labelled, splits.val, splits.test))
    train_labels, val_labels, test_labels = (
        labels_of(part, compute.device) for part in (labelled, splits.val, splits.test)
    )
    num_classes = splits.num_classes
    refit = refits_on_validation(config, labelled, splits)
    selection = select_probe(
        train,
        train_labels,
        val,
        val_labels,
        num_classes,
        config.l2,
        refit=refit,
        standardizer=None
        if refit
        else Standardizer.fit(extract(splits.train.images[standardizing(splits)])),
    )
    logits = selection.probe.logits(test)
    k = min(config.knn_k, len(train))
    votes = knn_scores(train, train_labels, test, num_classes, k, config.knn_temperature)
    predictions = logits.argmax(dim=1)
    return Row(
        name,
        scores={
            **top_accuracies(logits, test_labels),
            "knn": top_k_accuracy(votes, test_labels),
            "val_top1": selection.accuracies[selection.l2],
            **further_scores(config, test, test_labels, selection.probe.standardizer.mean),
        },
        settings={
            "width": train.shape[1],
            "l2": selection.l2,
            "l2_at_edge": selection.at_edge,
            "l2_doubt": selection.doubt,
        },
        candidates={f"{l2:g}": accuracy for l2, accuracy in selection.accuracies.items()},
        per_class=[score(v) for v in per_class_accuracy(predictions, test_labels, num_classes)],
        confusion=confusion_matrix(predictions, test_labels, num_classes).tolist(),
        seconds=round(time.perf_counter() - began, 3),
    )


def describe_protocol(config: Config, labelled: ImageSet, splits: Splits) -> Protocol:
    """Describes how the rows were measured."""
    assert splits.test is not None
    refit = refits_on_validation(config, labelled, splits)
    standardized_by = (
        "it was fitted on"
        if refit
        else f"of {len(standardizing(splits)):,} training pictures, without their labels"
    )
    layer = "encoder output" if config.layer is None else f"output of layer {config.layer}"
    details: dict[str, Value] = {
        "probe": "multinomial logistic regression, truncated Newton, on features standardised by "
        + f"those {standardized_by}",
        "features": f"{layer}{config.described()}, eval mode, float32, no augmentation",
    }
    if RAW_PIXELS in config.compared:
        details[RAW_PIXELS] = "the same on pixels in [0, 1]"
    if config.ceiling is not None and config.layer is not None:
        details["supervised_ceiling"] = "the same on the output of its whole encoder"
    details["knn_k"] = min(config.knn_k, len(labelled))
    details["knn_temperature"] = config.knn_temperature
    details.update(further_details(config, splits.test))
    also = f" + {len(splits.val)} validation" if refit else ""
    return Protocol(
        trained_on=f"{len(labelled)} training{also} labels",
        chosen_on=f"{len(splits.val)} validation pictures",
        tested_on=f"{len(splits.test)} test pictures, once",
        data_fingerprint=splits.fingerprint,
        details=details,
    )


def finish(config: Config, session: Session, results: Results) -> None:
    """Writes the results, the confusion matrix, run.json and the evaluated run's line."""
    run, trained = session.run, results.row("trained_encoder")
    write_results(run.folder, results)
    matrix = np.array(trained.confusion, dtype=np.int64)
    save_confusion(
        session.figures / "confusion.png", run.folder / "confusion.csv", matrix, results.classes
    )
    metrics = numbers(trained.scores)
    others = {f"{row.name}_top1": row.scores["top1"] for row in results.rows if row is not trained}
    metrics.update(numbers(others))
    folder = str(run.folder.absolute())
    evaluation = Evaluation("linear-eval", folder, evaluated(config), metrics)
    if config.run is not None:
        append_evaluation(Path(config.run), evaluation, session.console)
    run.finish(
        metrics, Validation("val_top1"), peak_memory_bytes=session.compute.peak_memory_bytes()
    )


def report(config: Config, session: Session, results: Results, learned_from: int) -> None:
    """Prints the table; the encoder has seen `learned_from` labels."""
    console, protocol = session.console, results.protocol
    knn = f"kNN (k={protocol.details['knn_k']})"
    columns = {"top1": "linear probe", "top5": "top-5", "knn": knn}
    shown = [key for key in columns if key in results.rows[0].scores]
    rows = []
    for row in results.rows:
        scores = [percentage(row.scores[key]) for key in shown]
        rows.append((row.name.replace("_", " "), *scores, f"{row.seconds:.1f} s"))
    title = f"test accuracy, {protocol.trained_on}"
    console.table(title, ("features", *(columns[key] for key in shown), "time"), rows)
    show_further(config, results.rows, console)
    if config.run is not None:
        console.say(origin(config, Path(config.run), learned_from))
    console.say(f"run: {session.run.folder}")
