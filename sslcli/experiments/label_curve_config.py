"""Defines the settings of `sslcli label-curve run=…`.

It measures how accuracy grows with the number of labels: of a linear probe, the fine-tuned network,
the same network from scratch, and a probe of raw pixels, each over several subsets of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from sslcli.data.data_config import DataConfig
from sslcli.engine.optim_config import OptimConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import require
from sslcli.experiments.chosen_encoder import ChosenEncoder
from sslcli.experiments.finetune_config import TrainingConfig
from sslcli.experiments.subject_config import (
    COMPARED,
    found_baselines,
    found_encoder,
    label_of,
    require_one_subject,
)
from sslcli.files import expanded
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.runs.folder import read_facts
from sslcli.settings import REQUIRED, part, setting
from sslcli.trained.encoder_files import require_unlabelled, resolve_encoder_run


class Kind(Enum):
    """Names what is measured at every number of labels."""

    linear_probe = "linear_probe"
    finetuned = "finetuned"
    from_scratch = "from_scratch"
    raw_pixels = "raw_pixels"


@dataclass(kw_only=True)
class CellSettings:
    """Holds how a probe is chosen, and a network trained, at every number of labels."""

    l2: list[float] = setting(
        [1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1.0, 10.0],
        "strengths of the probes' penalty, one of which is chosen on validation",
    )
    training: TrainingConfig = part(TrainingConfig, "how encoder and classifier are trained")


@dataclass(kw_only=True)
class Config(ChosenEncoder, CellSettings):
    """Holds the settings of the label curve."""

    run: str = setting(
        "last",
        "the run whose encoder is measured: its folder, the beginning of its name, or `last`",
    )
    runs: list[str] = setting([], "several runs side by side under one protocol, in place of `run`")
    encoder: EncoderConfig | None = setting(
        None, "in place of a run: an encoder with given weights (encoder.weights)", added_later=True
    )
    baselines: list[str] = setting(
        [],
        "other encoders beside it: untrained, files of weights, runs, public; or raw_pixels",
        added_later=True,
        file=True,
        words=COMPARED,
    )
    data: DataConfig | None = setting(None, "other data than the first run's: transfer")
    data_root: str | None = setting(
        None, "where the run's own data are now, if they moved", changes_results=False
    )
    labels: list[float] = setting(
        [0.005, 0.01, 0.05, 0.1, 1.0], "parts of the labels (up to 1), or numbers per class"
    )
    subsets: int = setting(
        3,
        "subsets of labels for each, drawn by seeds 0, 1, …; "
        "where all are seen, seeds alone differ",
    )
    kinds: list[Kind] = setting(
        list(Kind), "what is measured: linear_probe, finetuned, from_scratch, raw_pixels"
    )
    optim: OptimConfig = setting(
        REQUIRED, "the optimizer of fine-tuning, and of training from scratch"
    )
    runtime: RuntimeConfig = setting(REQUIRED, "where and how", changes_results=False)

    def __post_init__(self) -> None:
        for name in ("labels", "kinds", "l2"):
            values = getattr(self, name)
            require(
                len(values) > 0,
                name,
                values,
                "a list with something in it",
                f"see `{name}` in --help",
            )
            require(
                len(set(values)) == len(values),
                name,
                list(map(str, values)),
                "without repetition",
                "name each once",
            )
        require(
            all(amount > 0 for amount in self.labels),
            "labels",
            self.labels,
            "positive",
            "try labels=[0.01,0.1,1.0]",
        )
        require(
            all(value > 0 for value in self.l2),
            "l2",
            self.l2,
            "positive",
            "try l2=[1e-4,1e-3,1e-2]",
        )
        require(self.subsets >= 1, "subsets", self.subsets, "at least 1", "3 is the default")


def resolve(config: Config) -> Config:
    """Returns the config with runs, weights and the data's root as absolute paths.

    Raises SslcliError where a run has no encoder as it is chosen.
    """
    outputs, folders = config.runtime.outputs, []
    encoder = found_encoder(config.encoder, outputs, unlabelled=True)
    if encoder is None:
        folders = _absolute_runs(config)
    else:
        unnamed = None if config.run == "last" else config.run
        named = config.runs[0] if config.runs else unnamed
        require_one_subject(named, encoder, config.data)
        config.require_nothing_chosen()
    data = None if config.data is None else config.data.with_absolute_root()
    root = config.data_root and str(expanded(config.data_root).absolute())
    return replace(
        config,
        run=folders[0] if folders else config.run,
        runs=folders,
        encoder=encoder,
        baselines=found_baselines(config.baselines, outputs, unlabelled=True),
        data=data,
        data_root=root,
    )


def _absolute_runs(config: Config) -> list[str]:
    """Returns the runs' folders; raises SslcliError for one twice, or one that saw labels."""
    sources = [
        resolve_encoder_run(name, config.runtime.outputs) for name in config.runs or [config.run]
    ]
    for source in sources:
        require_unlabelled(source)
        config.read(source)
    folders = [str(folder.absolute()) for folder in sources]
    require(
        len(set(folders)) == len(folders),
        "runs",
        folders,
        "without repetition",
        "name each run once",
    )
    return folders


def folder_label(config: Config, choices: dict[str, str]) -> str:
    """Returns the part of the run folder's path that names methods and data."""
    if config.encoder is not None:
        return label_of(config.encoder, choices)
    sources = [read_facts(Path(run)).get("choices", {}) for run in config.runs]
    methods = "-".join(dict.fromkeys(source.get("method", "run") for source in sources))
    return config.label(f"{methods}-{choices.get('data') or sources[0].get('data', 'data')}")
