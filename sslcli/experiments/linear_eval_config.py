"""Defines the settings of `sslcli linear-eval run=…`.

It measures a run's encoder by probe and kNN. Architecture, preprocessing and data come from the
run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from sslcli.data.data_config import DataConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError, require
from sslcli.experiments.chosen_encoder import ChosenEncoder
from sslcli.experiments.subject_config import (
    COMPARED,
    RAW_PIXELS,
    UNTRAINED,
    found_baselines,
    found_encoder,
    label_of,
    require_one_subject,
)
from sslcli.files import expanded
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.runs.find import resolve_run
from sslcli.saved import read
from sslcli.settings import REQUIRED, setting
from sslcli.text import hydra_path
from sslcli.trained.data import evaluation_folder_label
from sslcli.trained.encoder_files import resolve_encoder_run


class Also(Enum):
    """Names what is measured beside the probe and kNN."""

    retrieval = "retrieval"
    few_shot = "few_shot"


@dataclass(kw_only=True)
class Config(ChosenEncoder):
    """Holds the settings of the linear evaluation."""

    run: str | None = setting(
        None, "the run to evaluate: its folder, the beginning of its name, or `last`"
    )
    encoder: EncoderConfig | None = setting(
        None, "in place of a run: an encoder with given weights (encoder.weights)", added_later=True
    )
    data: DataConfig | None = setting(None, "other data than the run's: transfer")
    data_root: str | None = setting(
        None, "where the run's own data are now, if they moved", changes_results=False
    )
    layer: int | None = setting(
        None, "evaluate the encoder cut after this layer, counted from 1 (stacks); null: whole"
    )
    labels: float = setting(
        1.0, "labels that the probe may see: a part (0.01), or a number per class (10); 1 is all"
    )
    seed: int = setting(0, "of the draw of those labels")
    l2: list[float] = setting(
        [1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1.0, 10.0],
        "strengths of the probe's penalty, one of which is chosen on validation",
    )
    knn_k: int = setting(20, "neighbours that kNN looks at, at most as many as there are labels")
    knn_temperature: float = setting(0.07, "of kNN's votes: lower listens more to the nearest")
    baselines: Any = setting(
        True,
        "also evaluate: raw_pixels and untrained (true), none (false), or a list of these, of "
        "files of weights and runs, and public",
        file=True,
        words=COMPARED,
    )
    ceiling: str | None = setting(
        None,
        "also evaluate this run of `finetune init=random`: "
        "what full supervision of the same network gives",
    )
    also: list[Also] = setting(
        [], "beside probe and kNN: retrieval (recall@k, mAP), few_shot (episodes)", added_later=True
    )
    few_shot_ways: int = setting(5, "classes of a few-shot episode", added_later=True)
    masks: str | None = setting(
        None,
        "measure segmentation instead, without labels: the folder of masks, outside data.root, "
        "by the pictures' names below it; values are classes, 255 is left out",
        added_later=True,
        file=True,
    )
    keep_encoder: bool = setting(
        False,
        "write an encoder with given weights into the folder `encoder` of this run, to teach "
        "method=distillation",
        changes_results=False,
    )
    runtime: RuntimeConfig = setting(REQUIRED, "where and how", changes_results=False)

    def __post_init__(self) -> None:
        require(
            self.labels > 0,
            "labels",
            self.labels,
            "positive",
            "try 0.01, 0.1, 10 (per class) or 1 (all)",
        )
        good = len(self.l2) > 0 and all(value > 0 for value in self.l2)
        require(good, "l2", self.l2, "a list of positive numbers", "try l2=[1e-4,1e-3,1e-2]")
        require(self.knn_k >= 1, "knn_k", self.knn_k, "at least 1", "20 is the default")
        require(
            self.knn_temperature > 0,
            "knn_temperature",
            self.knn_temperature,
            "positive",
            "0.07 is the default",
        )
        twice, ways = len(set(self.also)) < len(self.also), self.few_shot_ways
        named = [one.name for one in self.also]
        require(not twice, "also", named, "names, each once", "try also=[retrieval,few_shot]")
        require(ways >= 2, "few_shot_ways", ways, "at least 2", "5 is the default")
        alone = self.masks is None or (self.labels == 1 and not self.also)
        must_be = "given without also=… and labels=…, which masks=… does not read"
        require(alone, "masks", self.masks, must_be, "leave these out, or measure them alone")
        unpooled = self.masks is None or self.pool is None
        must_be = "given without pool=…: places are not pooled"
        require(unpooled, "masks", self.masks, must_be, "leave pool out")
        given = self.baselines
        listed = isinstance(given, list) and all(isinstance(name, str) for name in given)
        must_be = "true, false or a list"
        fix = "try baselines=[raw_pixels,untrained,weights.pth]"
        require(listed or isinstance(given, bool), "baselines", given, must_be, fix)

    @property
    def compared(self) -> list[str]:
        """Returns the baselines by name."""
        if isinstance(self.baselines, bool):
            return [UNTRAINED, RAW_PIXELS] if self.baselines else []
        return list(self.baselines)


def resolve(config: Config) -> Config:
    """Returns the config with `run`, `ceiling` and the data's root as absolute paths.

    Raises SslcliError where the run has no encoder as it is chosen.
    """
    outputs = config.runtime.outputs
    require_one_subject(config.run, config.encoder, config.data)
    must_be = "false where a run is named, whose folder has its encoder"
    require(
        config.run is None or not config.keep_encoder, "keep_encoder", True, must_be, "leave it out"
    )
    source = None
    if config.run is None:
        config.require_nothing_chosen()
    else:
        folder = resolve_encoder_run(config.run, outputs)
        config.read(folder)
        source = str(folder.absolute())
    baselines = config.baselines
    if not isinstance(baselines, bool):
        baselines = found_baselines(baselines, outputs)
    ceiling = config.ceiling and _supervised(resolve_run(config.ceiling, expanded(outputs)))
    root = config.data_root and str(expanded(config.data_root).absolute())
    return replace(
        config,
        run=source,
        encoder=found_encoder(config.encoder, outputs),
        data=None if config.data is None else config.data.with_absolute_root(),
        data_root=root,
        baselines=baselines,
        ceiling=ceiling,
    )


def _supervised(run: Path) -> str:
    """Returns the run's absolute folder.

    Raises SslcliError unless it began with random weights and saw every label.
    """
    saved = read(run / "config.yaml")
    kind = (saved.command, saved.values.get("init"), saved.values.get("labels"))
    if kind != ("finetune", "random", 1.0):
        raise SslcliError(
            f"{hydra_path('ceiling', run)} is a run of {saved.command}, "
            "not one of full supervision from random weights",
            "make one: sslcli finetune run=… init=random labels=1.0; or leave ceiling=… out",
        )
    return str(run.absolute())


def folder_label(config: Config, choices: dict[str, str]) -> str:
    """Returns the part of the run folder's path that names method and data."""
    if config.run is None:
        assert config.encoder is not None, "resolve requires one of them"
        return label_of(config.encoder, choices)
    return config.label(evaluation_folder_label(config.run, choices))
