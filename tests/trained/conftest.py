"""Fixtures of finished runs, as training leaves them, without having trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from doubles import PREPROCESSING, pictures
from torch import nn

from sslcli.data.arrays import ArraysConfig
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.experiments.pretrain_config import Config
from sslcli.jobs.job import create
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run
from sslcli.trained.encoder import write_encoder
from sslcli.trained.method import PHASE, build_method


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """24 pictures of two classes."""
    path = tmp_path / "photos.npz"
    np.savez(path, x_train=pictures().images[:], y_train=np.arange(24) % 2)
    return path


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Path:
    """A run of SimCLR on `photos`, whose every weight has moved from its initial value."""
    data = ArraysConfig(root=str(photos))
    config = Config(
        method=SimCLRConfig(),
        encoder=ConvNetConfig(width=2),
        data=data,
        optim=SGDConfig(),
        runtime=RuntimeConfig(),
        seed=3,
    )
    folder = create("pretrain", config, [], tmp_path / "run")
    method = build_method(config.method, config.encoder, PREPROCESSING, config.seed)
    modules = nn.ModuleDict(method.modules())
    with torch.no_grad():
        for weights in modules.parameters():
            weights += 0.25
    with Run(folder) as opened:
        opened.update(status="finished", data={"fingerprint": data.load().fingerprint})
        state = {"modules": modules.state_dict(), "minimize": {}, "meter": {}}
        Phase(opened, PHASE, 1, config.seed).save(5, state, True)
    write_encoder(folder, method.encoder, config.encoder, PREPROCESSING, config.seed)
    return folder
