"""Finds the weights that torchvision and timm publish, and fetches their files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torchvision.models import get_model_weights

from sslcli.errors import SslcliError
from sslcli.nets.timm_encoder import import_timm
from sslcli.text import first_line, shell_path


@dataclass(frozen=True)
class PublicWeights:
    """Names a published file, where its library keeps it, and what the network was fed."""

    name: str
    url: str
    file: Path
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str

    def fetched(self) -> Path:
        """Returns the file, which is downloaded where it is not there.

        Raises SslcliError, which names the file, where that fails.
        """
        if self.file.is_file():
            return self.file
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(self.file), progress=False)
        except (OSError, RuntimeError, ValueError) as reason:
            message = (
                f"encoder.weights=public: the weights of {self.name} are not here and could not "
                f"be fetched: {first_line(reason, 100)}"
            )
            fix = f"fetch {self.url} elsewhere, and put it here as {shell_path(self.file)}"
            raise SslcliError(message, fix) from None
        return self.file


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def torchvision_weights(architecture: str) -> PublicWeights:
    """Returns torchvision's default weights of an architecture."""
    weights: Any = get_model_weights(architecture).DEFAULT
    fed = weights.transforms()
    return PublicWeights(
        f"torchvision's {architecture}",
        weights.url,
        _hub_folder() / weights.url.rpartition("/")[2],
        tuple(fed.mean),
        tuple(fed.std),
        f"torchvision's {weights} are fed so",
    )


def timm_weights(model: str) -> PublicWeights:
    """Returns timm's default weights of a model.

    Raises SslcliError where timm is absent or has none of it.
    """
    found = import_timm().get_pretrained_cfg(model)
    hub = None if found is None else found.hf_hub_id
    url = "" if found is None else str(found.url or "")
    if not hub and not url:
        message = f"encoder.weights=public: timm has no public weights of {model}"
        raise SslcliError(message, "give a file, or choose another model")
    tag = f"{model}.{found.tag}" if found.tag else model
    if hub:  # timm's own order: the hub's file first
        server = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        url = f"{server}/{hub}/resolve/main/model.safetensors"
    name = f"{tag}.safetensors" if hub else url.rpartition("/")[2]
    file = _hub_folder() / name
    mean, std = tuple(found.mean), tuple(found.std)
    return PublicWeights(f"timm's {tag}", url, file, mean, std, f"timm's {tag} is fed so")
