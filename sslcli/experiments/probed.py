"""What every kind of linear-eval shares: rows, their protocol, and how a run is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import ImageSet, Splits, evenly_spaced
from sslcli.evaluation.probe import Selection
from sslcli.experiments.extractors import Extract
from sslcli.experiments.linear_eval_config import Config
from sslcli.experiments.session import Session
from sslcli.experiments.subject_config import RAW_PIXELS
from sslcli.runs.evaluations import Evaluation, append_evaluation
from sslcli.runs.folder import Validation, read_facts
from sslcli.runs.results import Protocol, Results, Row, Value, numbers, write_results
from sslcli.text import duration

NUM_STANDARDIZED = 10_000
"""Number of training pictures, evenly spaced, that standardise features where few are labelled."""


def evaluated(config: Config) -> dict[str, Value]:
    """Returns what tells this evaluation from others: encoder, labels, seed."""
    return {**config.chosen(), "labels": config.labels, "seed": config.seed}


def refits_on_validation(config: Config, labelled: ImageSet, splits: Splits) -> bool:
    """Tells whether the probe, once l2 is chosen, learns from validation's labels too.

    With few labels, validation's would be more than the probe may see.
    """
    return config.labels == 1 and len(splits.val) <= len(labelled)


def standardizing(splits: Splits) -> NDArray[np.int64]:
    """Returns the training pictures that standardise a probe that is not refitted."""
    return evenly_spaced(len(splits.train), NUM_STANDARDIZED)


def measure_each(
    extractors: Mapping[str, Extract], measure: Callable[[str, Extract], Row], session: Session
) -> list[Row]:
    """Returns each extractor's row, recorded; warns where its l2 may not be the best."""
    rows = []
    for step, (name, extract) in enumerate(extractors.items()):
        row = measure(name, extract)
        rows.append(row)
        record = {"phase": "linear-eval", "step": step, "epoch": 0, "features": name}
        l2, timing = row.settings["l2"], {"seconds": row.seconds}
        session.run.record({**record, **row.scores, "l2": l2, "timing": timing})
        if row.settings["l2_doubt"]:
            subject = name.replace("_", " ")
            session.console.warn(f"l2 of the probe on the {subject} is {row.settings['l2_doubt']}")
    return rows


def chosen_settings(selection: Selection, width: int) -> dict[str, Value]:
    """Returns a row's settings: the features' width, and the l2 that was chosen."""
    return {
        "width": width,
        "l2": selection.l2,
        "l2_at_edge": selection.at_edge,
        "l2_doubt": selection.doubt,
    }


def candidates(selection: Selection) -> dict[str, float]:
    """Returns the validation score of each l2 that was tried, as a row lists them."""
    return {f"{l2:g}": score for l2, score in selection.accuracies.items()}


def describe_probe(
    probe: str, config: Config, labelled: ImageSet, splits: Splits, by: str = ""
) -> Protocol:
    """Describes how the rows of a `probe` were measured; `by` ends what l2 was chosen on."""
    assert splits.test is not None
    refit = refits_on_validation(config, labelled, splits)
    standardized_by = (
        "it was fitted on"
        if refit
        else f"of {len(standardizing(splits)):,} training pictures, without their labels"
    )
    layer = "encoder output" if config.layer is None else f"output of layer {config.layer}"
    details: dict[str, Value] = {
        "probe": f"{probe}, on features standardised by those {standardized_by}",
        "features": f"{layer}{config.described()}, eval mode, float32, no augmentation",
    }
    if RAW_PIXELS in config.compared:
        details[RAW_PIXELS] = "the same on pixels in [0, 1]"
    if config.ceiling is not None and config.layer is not None:
        details["supervised_ceiling"] = "the same on the output of its whole encoder"
    details["knn_k"] = min(config.knn_k, len(labelled))
    details["knn_temperature"] = config.knn_temperature
    also = f" + {len(splits.val)} validation" if refit else ""
    return Protocol(
        trained_on=f"{len(labelled)} training{also} labels",
        chosen_on=f"{len(splits.val)} validation pictures{by}",
        tested_on=f"{len(splits.test)} test pictures, once",
        data_fingerprint=splits.fingerprint,
        details=details,
    )


def finish(
    config: Config, session: Session, results: Results, main: str, told: dict[str, Value]
) -> None:
    """Writes the results, run.json and the evaluated run's line.

    `main`: the score by which the other rows are told, and, as val_…, runs compared; `told`: what
    tells this evaluation from others.
    """
    run, trained = session.run, results.row("trained_encoder")
    write_results(run.folder, results)
    others = {f"{row.name}_{main}": row.scores[main] for row in results.rows if row is not trained}
    metrics = numbers({**trained.scores, **others})
    if config.run is not None:
        evaluation = Evaluation("linear-eval", str(run.folder.absolute()), told, metrics)
        append_evaluation(Path(config.run), evaluation, session.console)
    peak = session.compute.peak_memory_bytes()
    run.finish(metrics, Validation(f"val_{main}"), peak_memory_bytes=peak)


def say_where(config: Config, session: Session, learned_from: int) -> None:
    """Says whose encoder was measured, and where the results are."""
    if config.run is not None:
        session.console.say(origin(config, Path(config.run), learned_from))
    session.console.say(f"run: {session.run.folder}")


def origin(config: Config, source: Path, learned_from: int) -> str:
    """Says how and in what time the run's encoder was trained."""
    here = Path.cwd()
    how = f"trained on {learned_from:,} labels" if learned_from else "pretrained"
    folder = source.relative_to(here) if source.is_relative_to(here) else source
    took = f"in {duration(read_facts(source)['seconds'])}"
    when = took if config.at is None else f"up to epoch {config.at}"
    return f"{how} {when}: {folder}"
