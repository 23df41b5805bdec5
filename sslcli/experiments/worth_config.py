"""Defines the settings of `sslcli worth`.

It pretrains on a user's own labelled pictures, and measures whether that was worth it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sslcli.engine.optim_config import AdamWConfig
from sslcli.errors import require
from sslcli.experiments.label_curve_config import CellSettings
from sslcli.experiments.label_curve_config import Config as CurveConfig
from sslcli.experiments.pretrain_config import Config as PretrainConfig
from sslcli.experiments.pretrain_config import folder_label as folder_label
from sslcli.experiments.pretrain_config import resolve as resolve_pretraining
from sslcli.experiments.subject_config import COMPARED, RAW_PIXELS, UNTRAINED, found_baselines
from sslcli.settings import part, setting


@dataclass(kw_only=True)
class Config(PretrainConfig, CellSettings):
    """Holds the settings of pretraining, and of the comparison after it."""

    labels: list[float] = setting(
        [0.005, 0.01, 0.05, 0.2, 1.0], "parts of the labels (up to 1), or numbers per class"
    )
    subsets: int = setting(
        5, "subsets of labels for each, drawn by seeds 0, 1, …; fewer where `budget` ends them"
    )
    budget: float | None = setting(
        25.0,
        "minutes that all of it may take: after pretraining and the first subset as many more "
        "are measured as fit, 2 in all at least; null: all",
    )
    baselines: list[str] = setting(
        [UNTRAINED],
        "other encoders, probed and fine-tuned beside it: files of weights, runs, public; "
        "untrained is probed alone",
        file=True,
        words=COMPARED,
    )
    finetuning: AdamWConfig = part(
        AdamWConfig, "the optimizer of fine-tuning, and of training from scratch"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.subsets >= 2, "subsets", self.subsets, "at least 2", "5 is the default")
        good = self.budget is None or self.budget > 0
        require(good, "budget", self.budget, "positive, or null", "25 is the default")
        good = len(self.labels) > 1
        require(good, "labels", self.labels, "two amounts at least", "leave it out")
        good = RAW_PIXELS not in self.baselines
        require(good, "baselines", self.baselines, "encoders", "raw pixels are measured anyway")
        self.curve(".")  # checks the rest

    def curve(self, folder: str) -> CurveConfig:
        """Returns the settings of the label curve of the encoder in this folder."""
        return CurveConfig(
            run=folder,
            runs=[folder],
            labels=self.labels,
            subsets=self.subsets,
            baselines=self.baselines,
            l2=self.l2,
            optim=self.finetuning,
            training=self.training,
            runtime=self.runtime,
        )


def resolve(config: Config) -> Config:
    """Returns the config with weights and the data's root as absolute paths."""
    found = resolve_pretraining(config)
    outputs = config.runtime.outputs
    return replace(found, baselines=found_baselines(config.baselines, outputs, unlabelled=True))
