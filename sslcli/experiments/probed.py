"""Says what a probe learns from, which encoder it measures, and what tells it from others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.data.images import ImageSet, Splits, evenly_spaced
from sslcli.experiments.linear_eval_config import Config
from sslcli.runs.folder import read_facts
from sslcli.runs.results import Value
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


def origin(config: Config, source: Path, learned_from: int) -> str:
    """Says how and in what time the run's encoder was trained."""
    here = Path.cwd()
    how = f"trained on {learned_from:,} labels" if learned_from else "pretrained"
    folder = source.relative_to(here) if source.is_relative_to(here) else source
    took = f"in {duration(read_facts(source)['seconds'])}"
    when = took if config.at is None else f"up to epoch {config.at}"
    return f"{how} {when}: {folder}"
