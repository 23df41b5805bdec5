"""Describes, writes and prints what `label-curve` measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.evaluation.scores import mean_and_interval
from sslcli.experiments.label_curve_cells import (
    AT_EDGE,
    UNDECIDED,
    Cell,
    Curves,
    cell_text,
    write_table,
)
from sslcli.report.label_curve import Point, save_label_curve
from sslcli.runs.evaluations import Evaluation, append_evaluation
from sslcli.runs.results import Protocol, Results, write_results

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.experiments.label_curve import LabelCurve


def describe_protocol(curve: LabelCurve) -> Protocol:
    """Describes how every cell was measured."""
    splits, config = curve.session.splits, curve.config
    whose = "the run's" if config.encoder is None else "given"
    return Protocol(
        trained_on="the labels of each row, the same subsets for every kind",
        chosen_on=f"{len(splits.val)} validation pictures; no probe learns from their labels",
        tested_on=f"{len(curve.test)} test pictures, once a cell",
        data_fingerprint=splits.fingerprint,
        details={
            "linear_probe": "multinomial logistic regression on encoder "
            f"outputs{config.described()}, eval mode, float32, standardised by those of all "
            "training pictures, without their labels; l2 by validation",
            "raw_pixels": "the same probe on pixels in [0, 1]",
            "finetuned": f"encoder and linear layer from {whose} weights{config.described()}; "
            "stopped, and weights chosen, on validation",
            "from_scratch": "the same network and training from random weights",
            "l2": ", ".join(f"{value:g}" for value in config.l2),
            "interval": "95 %, Student's t over subsets",
        },
    )


def curves_of(curve: LabelCurve, cells: Sequence[Cell]) -> Curves:
    """Returns the accuracies of every curve by its numbers of labels."""
    curves: Curves = {}
    for cell in cells:
        points = curves.setdefault(curve.curve(cell.run, cell.kind), {})
        points.setdefault(cell.num_labels, []).append(cell.top1)
    return curves


def write_curves(curve: LabelCurve, curves: Curves) -> dict[str, list[Point]]:
    """Writes the curves as CSV and as a figure; returns their points, with intervals."""
    write_table(curve.session.run.folder / "label_curve.csv", curves)
    means = {
        name: [(count, *mean_and_interval(values)) for count, values in points.items()]
        for name, points in curves.items()
    }
    save_label_curve(curve.session.figures / "label_curve.png", means)
    return means


def warn_of_doubts(cells: Sequence[Cell], console: Console) -> None:
    """Warns of probes whose l2 may not be the best."""
    at_edge = sum(AT_EDGE in cell.chosen for cell in cells)
    if at_edge:
        console.warn(
            f"l2 of {at_edge} probes is the edge of the grid; "
            "a better one may lie beyond (set l2=[…])"
        )
    undecided = sum(UNDECIDED in cell.chosen for cell in cells)
    if undecided:
        console.warn(
            f"validation cannot decide the l2 of {undecided} probes: every one does as well; "
            "the middle of the grid is taken"
        )


def print_curves(curves: Curves, console: Console) -> None:
    """Prints a line for each number of labels."""
    counts = sorted({count for points in curves.values() for count in points})
    console.table(
        "test accuracy [%] by number of labels",
        ("labels", *curves),
        [
            (f"{count:,}", *(cell_text(points.get(count)) for points in curves.values()))
            for count in counts
        ],
    )


def report(curve: LabelCurve, cells: list[Cell]) -> None:
    """Writes the results, the plot and the evaluated runs' lines; prints the table."""
    config, session = curve.config, curve.session
    run, console = session.run, session.console
    curves = curves_of(curve, cells)
    rows = [cell.row() for cell in cells]
    protocol = describe_protocol(curve)
    write_results(run.folder, Results("label-curve", protocol, rows, runs=config.runs))
    means = write_curves(curve, curves)
    warn_of_doubts(cells, console)
    print_curves(curves, console)
    metrics = {
        f"{name.replace(' ', '_')}_{count}": mean
        for name, points in means.items()
        for count, mean, _ in points
    }
    evaluation = Evaluation("label-curve", str(run.folder.absolute()), config.chosen(), metrics)
    for source in config.runs:
        append_evaluation(Path(source), evaluation, console)
    run.finish(metrics, None, peak_memory_bytes=session.compute.peak_memory_bytes())
    console.say(f"run: {run.folder}")
