"""`sslcli linear-eval run=…`: what a run's encoder is worth to a linear classifier and to kNN, beside raw pixels and the
same encoder untrained. Architecture, preprocessing and data come from the run. Importing this does not import torch."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.commands.encoder_files import EncoderFiles, read_encoder, resolve_encoder_run
from sslcli.commands.evaluation_link import link
from sslcli.commands.run_data import evaluation_label
from sslcli.config import read
from sslcli.data.config import DataConfig
from sslcli.engine.run import Run, Validation, read_facts, resolve_run, write_atomically
from sslcli.engine.runtime import RuntimeConfig
from sslcli.errors import SslcliError, quoted, require
from sslcli.settings import REQUIRED, setting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sslcli.console import Console
    from sslcli.data.images import ImageSet, Splits
    from sslcli.engine.device import Compute
    from sslcli.nets.encoder import Encoder


NUM_STANDARDIZED = 10_000
"""Training pictures, at even distances, by which features are standardised where the labelled ones are few."""


@dataclass(kw_only=True)
class Config:
    """Every knob of the linear evaluation."""

    run: str = setting(REQUIRED, "the run to evaluate: its folder, the beginning of its name, or `last`")
    data: DataConfig | None = setting(None, "other data than the run's: transfer")
    layer: int | None = setting(None, "evaluate the encoder cut after this layer, counted from 1 (stacks); null: whole")
    labels: float = setting(1.0, "labels that the probe may see: a part (0.01), or a number per class (10); 1 is all")
    seed: int = setting(0, "of the draw of those labels")
    l2: list[float] = setting(
        [1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1.0, 10.0],
        "strengths of the probe's penalty, one of which is chosen on validation",
    )
    knn_k: int = setting(20, "neighbours that kNN looks at, at most as many as there are labels")
    knn_temperature: float = setting(0.07, "of kNN's votes: lower listens more to the nearest")
    baselines: bool = setting(True, "also evaluate raw pixels and the untrained encoder")
    ceiling: str | None = setting(
        None, "also evaluate this run of `finetune init=random`: what full supervision of the same network gives"
    )
    runtime: RuntimeConfig = setting(REQUIRED, "where and how", changes_results=False)

    def __post_init__(self) -> None:
        require(self.labels > 0, "labels", self.labels, "positive", "try 0.01, 0.1, 10 (per class) or 1 (all)")
        good = len(self.l2) > 0 and all(value > 0 for value in self.l2)
        require(good, "l2", self.l2, "a list of positive numbers", "try l2=[1e-4,1e-3,1e-2]")
        require(self.knn_k >= 1, "knn_k", self.knn_k, "at least 1", "20 is the default")
        require(self.knn_temperature > 0, "knn_temperature", self.knn_temperature, "positive", "0.07 is the default")


def settle(config: Config) -> Config:
    """The same config with `run` as a folder, so that it means the same tomorrow."""
    source = resolve_encoder_run(config.run, config.runtime.outputs)
    data = None if config.data is None else config.data.settled()
    ceiling = config.ceiling and _supervised(resolve_run(config.ceiling, Path(config.runtime.outputs).expanduser()))
    return replace(config, run=str(source.absolute()), data=data, ceiling=ceiling)


def _supervised(run: Path) -> str:
    """The run's folder. Raises SslcliError unless it began with random weights and saw every label."""
    saved = read(run / "config.yaml")
    kind = (saved.command, saved.values.get("init"), saved.values.get("labels"))
    if kind != ("finetune", "random", 1.0):
        message = f"ceiling={run} is a run of {saved.command}, not one of full supervision from random weights"
        raise SslcliError(message, "make one: sslcli finetune run=… init=random labels=1.0; or leave ceiling=… out")
    return str(run.absolute())


def label(config: Config, choices: dict[str, str]) -> str:
    """The part of the run folder's path that tells what is evaluated, and on what."""
    return evaluation_label(config.run, choices)


def run(config: Config, run: Run, console: Console) -> None:
    """Features once, a probe and kNN on them, for the trained encoder and the baselines; test is read here, once."""
    from sslcli.commands.preparation import prepare_evaluation
    from sslcli.data.subset import label_subset

    files = read_encoder(Path(config.run))
    ceiling = None if config.ceiling is None else read_encoder(Path(config.ceiling))
    if ceiling is not None and ceiling.config != files.config:
        message = f"ceiling={config.ceiling} trained another network than {config.run}"
        raise SslcliError(message, f"make one of this: sslcli finetune run={quoted(config.run)} init=random")
    sources = [files] if ceiling is None else [files, ceiling]
    compute, splits = prepare_evaluation("linear-eval", run, sources, config.data, config.runtime, console)
    assert splits.train.labels is not None
    chosen = label_subset(splits.train.labels, config.labels, config.seed, classes=splits.classes)
    labelled = splits.train.subset(chosen)

    results: dict[str, Any] = {}
    for step, (name, extract) in enumerate(_subjects(config, files, ceiling, compute).items()):
        began = time.perf_counter()
        results[name] = _evaluate(extract, labelled, splits, config, compute)
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
        if results[name].pop("at_edge"):
            where = "l2 of the probe on the " + name.replace("_", " ")
            console.warn(
                f"{where} is {results[name]['l2']:g}, the edge of the grid; a better one may lie beyond (set l2=[…])"
            )
    _finish(config, run, splits, results, files.labels, compute, console)
    _report(config, run, results, files.labels, console)


def _subjects(config: Config, files: EncoderFiles, ceiling: EncoderFiles | None, compute: Compute) -> dict[str, Any]:
    """What is compared: functions from pictures (N, H, W, C) uint8 to features (N, D)."""
    from sslcli.evaluation.features import features, pixels

    def of(encoder: Any, source: EncoderFiles = files) -> Any:
        compute.place(encoder)
        if config.runtime.compile:
            encoder.compile()
        return lambda images: features(encoder, images, source.preprocessing, compute.device)

    def cut(encoder: Encoder) -> Encoder:
        return encoder if config.layer is None else encoder.up_to(config.layer)

    subjects: dict[str, Any] = {"trained_encoder": of(cut(files.load()))}
    if config.baselines:
        subjects["untrained_encoder"] = of(cut(files.untrained()))
        subjects["raw_pixels"] = lambda images: pixels(images).to(compute.device)
    if ceiling is not None:
        subjects["supervised_ceiling"] = of(ceiling.load(), ceiling)
    return subjects


def _evaluate(extract: Any, labelled: ImageSet, splits: Splits, config: Config, compute: Compute) -> dict[str, Any]:
    """One subject's scores on test; whatever is chosen is chosen on validation."""
    from sslcli.data.images import evenly
    from sslcli.evaluation.knn import knn_scores
    from sslcli.evaluation.probe import Standardizer, select_probe
    from sslcli.evaluation.scores import confusion_matrix, labels_of, per_class_accuracy, top_k_accuracy

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
        train, train_labels, val, val_labels, num_classes, config.l2, refit=refit, standardizer=standardizer
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
        "at_edge": selection.at_edge,
        "val_top1_by_l2": {f"{l2:g}": accuracy for l2, accuracy in selection.accuracies.items()},
        "width": train.shape[1],
        "per_class": per_class_accuracy(predictions, test_labels, num_classes).tolist(),
        "confusion": confusion_matrix(predictions, test_labels, num_classes).tolist(),
        "protocol": {
            "probe": "multinomial logistic regression, L-BFGS, on features standardised by those "
            + ("it was fitted on" if refit else f"of {len(seen):,} training pictures, without their labels"),
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


def _finish(
    config: Config,
    run: Run,
    splits: Splits,
    results: dict[str, Any],
    learned_from: int,
    compute: Compute,
    console: Console,
) -> None:
    """results.json with the protocol beside the numbers, the confusion matrix, and the link back in the source run."""
    from sslcli.report.figures import save_confusion

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
    run.figures.mkdir(exist_ok=True)
    matrix = _matrix(trained["confusion"])
    classes = splits.classes or tuple(str(index) for index in range(len(matrix)))
    save_confusion(run.figures / "confusion.png", run.folder / "confusion.csv", matrix, classes)
    metrics = {key: trained[key] for key in ("top1", "top5", "knn", "val_top1")}
    metrics.update({f"{name}_top1": result["top1"] for name, result in results.items() if name != "trained_encoder"})
    about = {"command": "linear-eval", "run": str(run.folder.absolute()), "labels": config.labels, "seed": config.seed}
    link(Path(config.run), {**about, **metrics}, console)
    run.finish(metrics, Validation("val_top1"), peak_memory_bytes=compute.peak_memory_bytes())


def _matrix(rows: list[list[int]]) -> NDArray[np.int64]:
    import numpy as np

    return np.array(rows, dtype=np.int64)


def _report(config: Config, run: Run, results: dict[str, Any], learned_from: int, console: Console) -> None:
    from sslcli.console import duration

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
    console.say(f"run: {run.folder}")
