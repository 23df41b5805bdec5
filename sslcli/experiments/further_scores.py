"""Measures what `linear-eval also=[…]` names: retrieval, and few-shot episodes.

Both read the same test features as the probe, and nothing is chosen for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sslcli.data.images import ImageSet
from sslcli.evaluation.few_shot import Episodes, few_shot_scores
from sslcli.evaluation.retrieval import RANKS, count_queries, retrieval_scores
from sslcli.evaluation.scores import labels_of
from sslcli.experiments.linear_eval_config import Also, Config
from sslcli.runs.results import Row, Value, percentage, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sslcli.console import Console


def episodes(config: Config) -> Episodes:
    """Returns what few-shot episodes are made of."""
    return Episodes(ways=config.few_shot_ways)


def require_enough(config: Config, test: ImageSet) -> None:
    """Raises SslcliError where the test part has too few pictures for few-shot episodes."""
    assert test.labels is not None
    if Also.few_shot in config.also:
        episodes(config).classes(test.labels)


def further_scores(
    config: Config, test: Tensor, labels: Tensor, centre: Tensor
) -> dict[str, float | None]:
    """Returns the scores of features (N, D) that are asked for beside probe and kNN.

    `centre` (D,): the mean of training features, which few-shot episodes subtract.
    """
    found: dict[str, float | None] = {}
    if Also.retrieval in config.also:
        found.update((name, score(of)) for name, of in retrieval_scores(test, labels).items())
    if Also.few_shot in config.also:
        by_shots = few_shot_scores(test, labels, centre, episodes(config), config.seed)
        for shots, (mean, interval) in by_shots.items():
            found.update({f"few_shot_{shots}": mean, f"few_shot_{shots}_interval": interval})
    return found


def further_details(config: Config, test: ImageSet) -> dict[str, Value]:
    """Returns what the protocol says of them."""
    found: dict[str, Value] = {}
    if Also.retrieval in config.also:
        alone = len(test) - count_queries(labels_of(test, torch.device("cpu")))
        left_out = f"; {alone:,} are the only ones of their class, and no queries" if alone else ""
        found["retrieval"] = (
            f"each test picture among the other {len(test) - 1:,}, by cosine similarity; recall at "
            f"k: one of its class is among the k nearest{left_out}"
        )
    if Also.few_shot in config.also:
        parts = episodes(config)
        found["few_shot"] = (
            f"{parts.number} episodes of {parts.ways} classes and {parts.queries} queries of each, "
            "from test pictures alone; nearest mean of the shots, of features centred by the mean "
            "of those that standardise the probe and L2-normalised (SimpleShot, CL2N)"
        )
        found["few_shot_interval"] = "95 %, Student's t over the episodes"
    return found


def show_further(config: Config, rows: Sequence[Row], console: Console) -> None:
    """Prints a table for each of them."""
    if Also.retrieval in config.also:
        columns = {**{f"recall_at_{k}": f"recall@{k}" for k in RANKS}, "map": "mAP"}
        lines = [(_name(row), *(percentage(row.scores[key]) for key in columns)) for row in rows]
        console.table(
            "retrieval among the other test pictures", ("features", *columns.values()), lines
        )
    if Also.few_shot in config.also:
        parts = episodes(config)
        title = f"few-shot test accuracy, {parts.number} episodes of {parts.ways} classes"
        columns = {f"few_shot_{shots}": f"{shots}-shot" for shots in parts.shots}
        lines = [(_name(row), *(_with_interval(row, key) for key in columns)) for row in rows]
        console.table(title, ("features", *columns.values()), lines)


def _name(row: Row) -> str:
    return row.name.replace("_", " ")


def _with_interval(row: Row, key: str) -> str:
    mean, interval = row.scores[key], row.scores[f"{key}_interval"]
    assert mean is not None
    assert interval is not None, "there are several episodes"
    return f"{100 * mean:.2f} ± {100 * interval:.2f} %"
