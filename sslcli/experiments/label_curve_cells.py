"""Holds the measurements of `label-curve`, and makes tables of them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sslcli.evaluation.scores import mean_and_interval
from sslcli.files import write_atomically
from sslcli.runs.results import Row

Curves: TypeAlias = dict[str, dict[int, list[float]]]
"""Maps the curve's name and the number of labels to the top-1 of every subset."""
AT_EDGE = ", the grid's edge"
UNDECIDED = ", the middle: validation cannot decide"


@dataclass(frozen=True)
class Cell:
    """Holds one measurement, as its file does.

    `run`: the index of the encoder's run. `amount`: the labels as the user gave them; `seed`: of
    their draw.
    """

    run: int
    kind: str
    amount: float
    num_labels: int
    seed: int
    top1: float
    val_top1: float
    chosen: str

    def row(self) -> Row:
        """Returns the cell's row of results.json."""
        return Row(
            self.kind,
            {"top1": self.top1, "val_top1": self.val_top1},
            {
                "run": self.run,
                "amount": self.amount,
                "num_labels": self.num_labels,
                "seed": self.seed,
                "chosen": self.chosen,
            },
        )


def write_table(path: Path, curves: Curves) -> None:
    """Writes mean and interval of every point as CSV; no interval of a single subset."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["curve", "labels", "subsets", "mean_top1", "interval"])
    for name, points in curves.items():
        for count, values in points.items():
            mean, interval = mean_and_interval(values)
            writer.writerow([name, count, len(values), mean, "" if interval is None else interval])
    write_atomically(path, table.getvalue().encode())


def cell_text(values: list[float] | None) -> str:
    """Returns a point as the table shows it, in percent."""
    if not values:
        return ""
    mean, interval = mean_and_interval(values)
    return f"{100 * mean:.2f}" if interval is None else f"{100 * mean:.2f} ± {100 * interval:.2f}"
