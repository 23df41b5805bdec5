"""Measures an encoder on several classes a picture, or on numbers, as `linear-eval` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sslcli.data.images import ImageSet, Pixels, Splits
from sslcli.data.subset import label_subset
from sslcli.errors import require
from sslcli.evaluation.knn import knn_means
from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.multi_label import (
    average_precisions,
    fit_each_class,
    mean_average_precision,
)
from sslcli.evaluation.precision import in_float64
from sslcli.evaluation.probe import Fit, Score, select_fit
from sslcli.evaluation.regression import fit_ridge, mean_absolute_error, r2
from sslcli.experiments.extractors import Extract
from sslcli.experiments.linear_eval_config import Config
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
from sslcli.experiments.session import Session
from sslcli.runs.results import (
    Protocol,
    Results,
    Row,
    Value,
    percentage,
    score,
)
from sslcli.trained.encoder_files import EncoderFiles


def decimals(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


@dataclass(frozen=True)
class Task:
    """States how one kind of targets is learned and scored."""

    probe: str
    """What the protocol calls the probe."""
    fit: Fit
    scores: Mapping[str, Score]
    """By name; the first chooses on validation."""
    prepare: Callable[[Tensor], Tensor]
    """Takes features to the precision that the fit needs."""
    shown: Callable[[float | None], str]
    per_class: Callable[[Tensor, Tensor], list[float]]
    """Each class's score; nothing where there are no classes."""

    @property
    def main(self) -> str:
        return next(iter(self.scores))


SEVERAL = Task(
    "a logistic regression for each class, one l2 for all, truncated Newton",
    fit_each_class,
    {"map": mean_average_precision},
    prepare=lambda features: features,
    shown=percentage,
    per_class=average_precisions,
)
NUMBER = Task(
    "ridge regression in closed form, float64",
    fit_ridge,
    {"r2": r2, "mae": mean_absolute_error},
    prepare=in_float64,
    shown=decimals,
    per_class=lambda predictions, targets: [],
)
HEADINGS = {"map": "mean average precision", "r2": "R2", "mae": "mean absolute error"}


def task_of(part: ImageSet) -> Task:
    """Returns how the part's targets are learned."""
    assert part.targets is not None
    return SEVERAL if part.targets.dtype == np.bool_ else NUMBER


def evaluate_targets(
    config: Config, session: Session, extractors: Mapping[str, Extract], files: EncoderFiles
) -> None:
    """Fits a probe and kNN on each extractor's features, and writes and prints the scores."""
    splits = session.splits
    also = [name.value for name in config.also]
    require(not also, "also", also, "left out: it needs one class a picture", "leave it out")
    task, labelled = task_of(splits.train), drawn(config, splits)

    def row_of(name: str, extract: Extract) -> Row:
        return measured(name, extract, labelled, session, config)

    rows = measure_each(extractors, row_of, session)
    names = list(splits.target_names or ())
    learned: dict[str, Value] = {"encoder_learned_from_labels": files.labels}
    results = Results(
        "linear-eval",
        described(config, labelled, session.splits),
        rows,
        runs=[] if config.run is None else [config.run],
        settings={**evaluated(config), "ceiling": config.ceiling, **learned},
        classes=names if task is SEVERAL else [],
    )
    finish(config, session, results, task.main, evaluated(config))
    print_table(config, session, results, files.labels)


def drawn(config: Config, splits: Splits) -> ImageSet:
    """Returns the training pictures whose targets the probe sees: a part of all, by the seed.

    Raises SslcliError for a number per class.
    """
    must_be = "at most 1 here: these pictures have no single class, of which to take so many"
    require(config.labels <= 1, "labels", config.labels, must_be, "ask for a part: labels=0.1")
    alike = np.zeros(len(splits.train), dtype=np.int64)
    return splits.train.subset(label_subset(alike, config.labels, config.seed))


def measured(
    name: str, extract: Extract, labelled: ImageSet, session: Session, config: Config
) -> Row:
    """Returns one extractor's scores on test; what is chosen is chosen on validation."""
    began, splits = time.perf_counter(), session.splits
    assert splits.test is not None
    task = task_of(labelled)

    def prepared(images: Pixels) -> Tensor:
        return task.prepare(extract(images))

    train, val, test = (prepared(part.images) for part in (labelled, splits.val, splits.test))
    known, chooses, true = (
        targets_of(part, train.device) for part in (labelled, splits.val, splits.test)
    )
    refit = refits_on_validation(config, labelled, splits)
    by = None if refit else Standardizer.fit(prepared(splits.train.images[standardizing(splits)]))
    selection = select_fit(
        task.fit, task.scores[task.main], (train, known), (val, chooses), config.l2, refit, by
    )
    predicted = selection.probe.logits(test)
    k = min(config.knn_k, len(train))
    nearest = knn_means(train, known, test, k, config.knn_temperature)
    scores = {key: score(of(predicted, true)) for key, of in task.scores.items()}
    by_knn = {f"knn_{key}": score(of(nearest, true)) for key, of in task.scores.items()}
    return Row(
        name,
        {**scores, **by_knn, f"val_{task.main}": selection.accuracies[selection.l2]},
        settings=chosen_settings(selection, train.shape[1]),
        candidates=candidates(selection),
        per_class=[score(value) for value in task.per_class(predicted, true)],
        seconds=round(time.perf_counter() - began, 3),
    )


def targets_of(part: ImageSet, device: torch.device) -> Tensor:
    """Returns the part's targets (N, T), bool or float64; it must have some."""
    assert part.targets is not None
    return torch.from_numpy(part.targets).to(device)


def described(config: Config, labelled: ImageSet, splits: Splits) -> Protocol:
    """Describes how the rows were measured."""
    task = task_of(labelled)
    by = f", by {HEADINGS[task.main]}"
    protocol = describe_probe(task.probe, config, labelled, splits, by)
    names = ", ".join(splits.target_names or ())
    return replace(protocol, details={**protocol.details, "targets": names})


def print_table(config: Config, session: Session, results: Results, learned_from: int) -> None:
    """Prints the scores; the encoder has seen `learned_from` labels."""
    console, protocol = session.console, results.protocol
    task, knn = task_of(session.splits.train), f"kNN (k={protocol.details['knn_k']})"
    columns = {key: f"linear probe: {HEADINGS[key]}" for key in task.scores}
    columns |= {f"knn_{key}": f"{knn}: {HEADINGS[key]}" for key in task.scores}
    rows = [
        (
            row.name.replace("_", " "),
            *(task.shown(row.scores[key]) for key in columns),
            f"{row.seconds:.1f} s",
        )
        for row in results.rows
    ]
    of = "" if task is SEVERAL else f" of {protocol.details['targets']}"
    title = f"test scores{of}, {protocol.trained_on}"
    console.table(title, ("features", *columns.values(), "time"), rows)
    say_where(config, session, learned_from)
