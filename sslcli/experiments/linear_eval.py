"""Measures a run's encoder by a linear probe and kNN, and compares baselines."""

from __future__ import annotations

import time
from dataclasses import replace
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
from sslcli.experiments.extractors import (
    Extract,
    build_extractors,
    learned_by_baselines,
    opened,
)
from sslcli.experiments.further_scores import (
    further_details,
    further_scores,
    require_enough,
    show_further,
)
from sslcli.experiments.linear_eval_config import Config
from sslcli.experiments.linear_eval_targets import evaluate_targets
from sslcli.experiments.probed import (
    candidates,
    chosen_settings,
    describe_probe,
    evaluated,
    finish,
    measure_each,
    refits_on_validation,
    say_where,
    standardizing,
)
from sslcli.experiments.segmentation import run_segmentation
from sslcli.experiments.session import Session
from sslcli.report.figures import save_confusion
from sslcli.runs.folder import Run
from sslcli.runs.results import (
    Protocol,
    Results,
    Row,
    percentage,
    score,
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

    def measured(name: str, extract: Extract) -> Row:
        return measure(name, extract, labelled, session, config)

    rows = measure_each(build_extractors(config, files, ceiling, session), measured, session)
    results = Results(
        "linear-eval",
        describe_protocol(config, labelled, splits),
        rows,
        runs=[] if config.run is None else [config.run],
        settings={
            **evaluated(config),
            "ceiling": config.ceiling,
            "encoder_learned_from_labels": files.labels,
            **learned_by_baselines(config, console),
        },
        classes=session.classes,
    )
    draw_confusion(session, results)
    finish(config, session, results, "top1", evaluated(config))
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
        settings=chosen_settings(selection, train.shape[1]),
        candidates=candidates(selection),
        per_class=[score(v) for v in per_class_accuracy(predictions, test_labels, num_classes)],
        confusion=confusion_matrix(predictions, test_labels, num_classes).tolist(),
        seconds=round(time.perf_counter() - began, 3),
    )


def describe_protocol(config: Config, labelled: ImageSet, splits: Splits) -> Protocol:
    """Describes how the rows were measured."""
    assert splits.test is not None
    probe = "multinomial logistic regression, truncated Newton"
    protocol = describe_probe(probe, config, labelled, splits)
    return replace(protocol, details={**protocol.details, **further_details(config, splits.test)})


def draw_confusion(session: Session, results: Results) -> None:
    """Draws which classes the probe of the trained encoder takes for which."""
    matrix = np.array(results.row("trained_encoder").confusion, dtype=np.int64)
    save_confusion(
        session.figures / "confusion.png",
        session.run.folder / "confusion.csv",
        matrix,
        results.classes,
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
    say_where(config, session, learned_from)
