"""Finished runs, as training leaves them, without having trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from doubles import PREPROCESSING, pictures
from torch import nn

from sslcli.data.arrays import ArraysConfig
from sslcli.data.data_config import DataConfig
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.experiments.pretrain_config import Config
from sslcli.jobs.job import create
from sslcli.method import MethodConfig, Preprocessing
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run
from sslcli.trained.encoder import write_encoder
from sslcli.trained.method import PHASE, build_method


def finished_run(
    folder: Path,
    data: Path | DataConfig,
    method: MethodConfig,
    encoder: EncoderConfig,
    moved: float = 0.25,
    preprocessing: Preprocessing = PREPROCESSING,
) -> Path:
    """A run of pictures, by default 16 x 16 in colour, whose every weight has moved from its initial value.

    `data`: a file of arrays, or what loads the pictures.
    """
    data = ArraysConfig(root=str(data)) if isinstance(data, Path) else data
    config = Config(
        method=method,
        encoder=encoder,
        data=data,
        optim=SGDConfig(),
        runtime=RuntimeConfig(),
        seed=3,
    )
    folder = create("pretrain", config, [], folder)
    built = build_method(config.method, config.encoder, preprocessing, config.seed)
    modules = nn.ModuleDict(built.modules())
    with torch.no_grad():
        for weights in modules.parameters():
            weights += moved
    with Run(folder) as opened:
        opened.update(status="finished", data={"fingerprint": data.load().fingerprint})
        state = {"modules": modules.state_dict(), "minimize": {}, "meter": {}}
        Phase(opened, PHASE, 1, config.seed).save(5, state, True)
    write_encoder(folder, built.encoder, config.encoder, built.preprocessing, config.seed)
    return folder


def write_photos(folder: Path) -> Path:
    """Writes 24 pictures of two classes."""
    path = folder / "photos.npz"
    np.savez(path, x_train=pictures().images[:], y_train=np.arange(24) % 2)
    return path
