"""Pretrains, and measures with how many times the labels one is as well off without.

Both sides choose on validation at every number of labels: with pretraining between the probe and
fine-tuning, without it among training from scratch and probes of raw pixels and of the untrained
network. That is what a person who has these labels could do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.data.needs import require_labels, require_test
from sslcli.data.resize import splits_at
from sslcli.evaluation.label_equivalents import LabelEquivalent, label_equivalents
from sslcli.experiments.label_curve import LabelCurve, require_different_amounts
from sslcli.experiments.label_curve_cells import Cell
from sslcli.experiments.label_curve_config import Kind
from sslcli.experiments.label_curve_report import (
    curves_of,
    describe_protocol,
    print_curves,
    warn_of_doubts,
    write_curves,
)
from sslcli.experiments.pretrain import finish as finish_pretraining
from sslcli.experiments.pretrain import train_method
from sslcli.experiments.session import Session, open_session
from sslcli.experiments.subject_config import UNTRAINED
from sslcli.experiments.worth_config import Config
from sslcli.report.verdict import compared, sentences
from sslcli.runs.folder import Run
from sslcli.runs.results import Results, Row, write_results
from sslcli.trained.encoder_files import read_encoder

if TYPE_CHECKING:
    from sslcli.console import Console

Side = frozenset[tuple[int, str]]
"""The curves, by source and kind, among which a person could choose."""
FEWEST_SUBSETS = 2
"""Without a second subset there is no interval."""


def run(config: Config, run: Run, console: Console) -> None:
    """Pretrains from the last checkpoint or the start; then measures every missing cell."""
    session = open_session(run, config.runtime, config.data, console, config.method.draws_crops())
    require_labels(session.splits, "worth")
    require_test(session.splits, "worth")
    require_different_amounts(config.labels, session.splits)
    trained = train_method(config, session, labels_may_be_seen=False)
    if trained is None:
        return
    encoder = read_encoder(run.folder)
    fitted = splits_at(session.splits, encoder.preprocessing.resolution)
    session = replace(session, splits=fitted)
    curve = LabelCurve.of(config.curve(str(run.folder)), session, [encoder])
    cells = measured(config, curve, session)
    finish_pretraining(trained, **report(curve, cells))
    console.say(f"run: {run.folder}")


def measured(config: Config, curve: LabelCurve, session: Session) -> list[Cell]:
    """Measures subset after subset, as many as the budget allows."""
    run = session.run
    if "curve_began" not in run.facts:
        run.update(curve_began=round(run.seconds, 3))
    cells = curve.measure_subset(0)
    if "subsets" not in run.facts:  # decided once: a resumed run measures the same
        run.update(subsets=num_subsets(config, run.facts["curve_began"], run.seconds))
    count = int(run.facts["subsets"])
    if count < config.subsets:
        session.console.warn(
            f"budget={config.budget:g} minutes are enough for {count} of {config.subsets} subsets: "
            "intervals are wider (budget=null measures all)"
        )
    for seed in range(1, count):
        cells += curve.measure_subset(seed)
    return cells


def num_subsets(config: Config, began: float, now: float) -> int:
    """Returns how many subsets fit, given when the first one began and ended, in seconds."""
    if config.budget is None:
        return config.subsets
    fit = 1 + int((60 * config.budget - now) / max(now - began, 1e-9))
    return min(config.subsets, max(FEWEST_SUBSETS, fit))


def sides_of(curve: LabelCurve) -> dict[str, Side]:
    """Returns what is compared: with pretraining, without, and other encoders, if there are any."""
    probes = (Kind.linear_probe.name, Kind.finetuned.name)
    numbers = range(curve.num_subjects, len(curve.sources))
    untrained = [n for n in numbers if curve.name_of_baseline(n) == UNTRAINED]
    without = {(0, Kind.from_scratch.name), (0, Kind.raw_pixels.name)}
    given = {(n, kind) for n in numbers if n not in untrained for kind in probes}
    sides = {
        "with pretraining": frozenset((0, kind) for kind in probes),
        "without": frozenset(without | {(n, probes[0]) for n in untrained}),
        "given encoders": frozenset(given),
    }
    return {name: side for name, side in sides.items() if side}


@dataclass(frozen=True)
class Chosen:
    """Holds what a side reaches by choosing on validation.

    `accuracies` (S, P): on test, by subset and number of labels. `once`: the numbers of labels at
    which all subsets have one and the same measurement.
    """

    accuracies: NDArray[np.float64]
    once: frozenset[int]


def chosen_of(cells: Sequence[Cell], side: Side) -> Chosen:
    """Takes of every subset and number of labels the curve that is best on validation.

    Where a curve has one subset only, since it sees all labels, that holds for all.
    """
    counts = sorted({cell.num_labels for cell in cells})
    num_subsets = 1 + max(cell.seed for cell in cells)
    by_key = {(cell.run, cell.kind, cell.num_labels, cell.seed): cell for cell in cells}

    def best(count: int, seed: int) -> Cell:
        tried = [
            by_key.get((source, kind, count, seed)) or by_key[source, kind, count, 0]
            for source, kind in sorted(side)
        ]
        return max(tried, key=lambda cell: cell.val_top1)

    by_count = {count: [best(count, seed) for seed in range(num_subsets)] for count in counts}
    once = {count for count, same in by_count.items() if all(cell is same[0] for cell in same)}
    accuracies = [[cell.top1 for cell in chosen] for chosen in by_count.values()]
    return Chosen(np.array(accuracies).T, frozenset(once))


def beside(counts: Sequence[int], one: Chosen, other: Chosen) -> list[LabelEquivalent]:
    """Compares what two sides reach."""
    return label_equivalents(counts, one.accuracies, other.accuracies, one.once & other.once)


def preferred(cells: Sequence[Cell], given: Side) -> dict[int, int]:
    """Returns, by number of labels, the source that validation prefers; {} of a single one.

    It has the highest mean over subsets, frozen or fine-tuned.
    """
    if len({source for source, _ in given}) < 2:
        return {}
    values: dict[tuple[int, int, str], list[float]] = {}
    for cell in cells:
        if (cell.run, cell.kind) in given:
            values.setdefault((cell.num_labels, cell.run, cell.kind), []).append(cell.val_top1)
    best: dict[int, tuple[float, int]] = {}
    for (count, source, _), of_curve in values.items():
        best[count] = max(best.get(count, (-1.0, 0)), (float(np.mean(of_curve)), -source))
    return {count: -source for count, (_, source) in best.items()}


def report(curve: LabelCurve, cells: list[Cell]) -> dict[str, float]:
    """Writes results and picture, prints table and verdict; returns the metrics."""
    session, run = curve.session, curve.session.run
    counts = sorted({cell.num_labels for cell in cells})
    chosen = {name: chosen_of(cells, side) for name, side in sides_of(curve).items()}
    equivalents = beside(counts, chosen["with pretraining"], chosen["without"])
    num_pictures = len(session.splits.pretraining)
    said = sentences(equivalents, f"pretraining on {num_pictures:,} pictures", counts[-1])
    if "given encoders" in chosen:
        others = beside(counts, chosen["given encoders"], chosen["with pretraining"])
        best = preferred(cells, sides_of(curve)["given encoders"])
        said += compared(others, {n: str(curve.name_of_baseline(i)) for n, i in best.items()})
    rows = [cell.row() for cell in cells] + [equivalent_row(each) for each in equivalents]
    protocol = describe_protocol(curve)
    write_results(run.folder, Results("worth", protocol, rows, classes=session.classes))
    curves = curves_of(curve, sorted(cells, key=lambda cell: (cell.run, cell.kind)))
    write_curves(curve, curves)
    warn_of_doubts(cells, session.console)
    for name, reached in chosen.items():
        by_count = zip(counts, reached.accuracies.T.tolist(), strict=True)
        curves[f"best {name}"] = {
            count: values[:1] if count in reached.once else values for count, values in by_count
        }
    print_curves(curves, session.console)
    for sentence in said:
        session.console.say(sentence)
    run.update(verdict=said)
    return metrics_of(equivalents)


def equivalent_row(found: LabelEquivalent) -> Row:
    scores = asdict(found)
    return Row("label_equivalent", scores, {"num_labels": scores.pop("num_labels")})


def metrics_of(equivalents: Sequence[LabelEquivalent]) -> dict[str, float]:
    gains = {f"gain_{found.num_labels}": found.gain for found in equivalents}
    ratios = {
        f"times_labels_{found.num_labels}": found.ratio
        for found in equivalents
        if found.ratio is not None
    }
    return {**gains, **ratios}
