"""What exported encoders are held to."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder


def own_features(run: Path, pictures: Tensor) -> Tensor:
    """What the run's encoder makes of pictures (N, C, H, W) in [0, 1]."""
    source = read_encoder(run)
    mean, std = (
        torch.tensor(values).view(-1, 1, 1)
        for values in (source.preprocessing.mean, source.preprocessing.std)
    )
    with torch.no_grad():
        return load_trained(source)((pictures - mean) / std)


def left_in(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file())
