"""Gives what a run left behind as frames of pandas."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.config import flat
from sslcli.errors import SslcliError
from sslcli.runs.evaluations import read_evaluations
from sslcli.runs.folder import read_records
from sslcli.runs.listing import started_at
from sslcli.runs.results import Row, read_results
from sslcli.runs.summary import Summary

if TYPE_CHECKING:
    import pandas as pd


def config_frame(run: Summary) -> pd.DataFrame:
    """Returns a row for every setting, with its `value` as it is: text, number, bool, list, None.

    Raises SslcliError where config.yaml is missing or damaged.
    """
    settings = run.settings
    values = _pandas().Series(list(settings.values()), index=list(settings), dtype=object)
    return values.rename_axis("setting").to_frame("value")


def records_frame(run: Path) -> pd.DataFrame:
    """Returns a row for every record, as metrics.jsonl has them.

    A cell is empty (NaN) where the record lacks the metric: training and evaluations have rows of
    their own. What depends on the machine begins with `timing.`. Raises SslcliError where the file
    is damaged.
    """
    return _frame([flat(record) for record in read_records(run)], ("phase", "step", "epoch"))


def evaluations_frame(run: Path) -> pd.DataFrame:
    """Returns a row for every evaluation of the run's encoder, oldest first.

    Its settings begin with `settings.`. Warns of lines that cannot be read.
    """
    found, unreadable = read_evaluations(run)
    for text in unreadable:
        warnings.warn(f"{run}: {text}", stacklevel=3)
    rows = [
        {
            "command": evaluation.command,
            "run": evaluation.run,
            **{f"settings.{name}": value for name, value in evaluation.settings.items()},
            **evaluation.metrics,
        }
        for evaluation in found
    ]
    return _frame(rows, ("command", "run"))


def results_frame(run: Path) -> pd.DataFrame:
    """Returns a row for every encoder, network or way that the run measured.

    Raises SslcliError where it has no results.json.
    """
    return _frame([_result(row) for row in read_results(run).rows], ("name",))


def _result(row: Row) -> dict[str, Any]:
    settings = {f"settings.{name}": value for name, value in row.settings.items()}
    return {"name": row.name, **settings, **row.scores, "seconds": row.seconds}


def runs_frame(runs: Sequence[Summary]) -> pd.DataFrame:
    """Returns a row for every run: its folder, state, choices and final metrics."""
    rows = [
        {
            "run": str(run.folder),
            "status": run.status,
            "command": run.facts.get("command"),
            "started": started_at(run) or None,
            "seconds": run.facts.get("seconds"),
            **run.choices,
            **run.metrics,
        }
        for run in runs
    ]
    return _frame(rows, ("run", "status", "command", "started", "seconds"))


def _frame(rows: Sequence[Mapping[str, Any]], first: Sequence[str]) -> pd.DataFrame:
    """Returns the rows; columns in the order of appearance, those of `first` always there."""
    columns = dict.fromkeys([*first, *(name for row in rows for name in row)])
    return _pandas().DataFrame(rows, columns=list(columns))


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise SslcliError(
            "frames need pandas, which is not installed", "pip install 'sslcli[notebook]'"
        ) from None
    return pandas
