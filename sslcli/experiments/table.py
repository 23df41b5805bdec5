"""Joins the settings of each experiment with its work, and imports neither."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Experiment:
    """Describes a command that makes a run from `key=value` overrides.

    `<module>_config` holds three names:
        `Config`: the dataclass of the settings.
        `resolve(config)`: replaces `last` and relative paths by the absolute paths they mean now.
        `folder_label(config, choices)`: the part of the run folder's path that names its subject.
    `<module>` holds one:
        `run(config, run, console)`: trains or evaluates until the run is finished.
    """

    module: str
    summary: str
    by_processes: bool = False
    """True if several processes can work on one run (torchrun, srun)."""

    def load_config(self) -> Any:
        """Imports and returns the module of the settings, without torch."""
        return import_module(f"sslcli.experiments.{self.module}_config")

    def load_work(self) -> Any:
        """Imports and returns the module that does the work, with torch."""
        return import_module(f"sslcli.experiments.{self.module}")


EXPERIMENTS: dict[str, Experiment] = {
    "pretrain": Experiment("pretrain", "train an encoder without labels", by_processes=True),
    "inpaint": Experiment(
        "inpaint",
        "train a context encoder to fill holes, and score it on test pictures",
        by_processes=True,
    ),
    "stack-pretrain": Experiment(
        "stack_pretrain",
        "train a deep network layer by layer, fine-tune it, and compare with less pretraining",
    ),
    "finetune": Experiment(
        "finetune",
        "train a run's encoder and a classifier on few labels or all; "
        "or the same network from random weights",
    ),
    "label-curve": Experiment(
        "label_curve",
        "accuracy by number of labels: probed, fine-tuned, from scratch, raw pixels; "
        "several runs side by side",
    ),
    "worth": Experiment(
        "worth",
        "pretrain on your labelled pictures, and say whether that was worth it, in labels",
    ),
    "linear-eval": Experiment(
        "linear_eval",
        "measure a run's encoder: linear probe and kNN, beside raw pixels and no training",
    ),
}
