"""Defines the layout of the Hugging Face hub, in which timm and transformers share models.

Imports no torch.
"""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.nets.encoder_config import ResNetConfig
from sslcli.tools.export.format import Features, Format, with_normalization
from sslcli.tools.export.weights import (
    Timm,
    Torchvision,
    feed,
    save_tensors,
    strip_prefix,
    timm_network,
)
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.nets.encoder import Encoder

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FRONT = """\
---
tags:
- image-feature-extraction
- timm
- transformers
pipeline_tag: image-feature-extraction
library_name: timm
---

"""


class HuggingFace(Format):
    """Stores a folder that timm and transformers load, and that a user may push to the hub.

    transformers reads timm's layout by its own TimmWrapperModel.
    """

    holds = (
        f"the weights under timm's keys; `{CONFIG}` names the network and what it was fed. timm "
        "and transformers load the folder"
    )
    packages = ("timm",)
    extra = "timm"
    card = "README.md"
    front = FRONT

    def files(self, source: EncoderFiles) -> list[str]:
        return [WEIGHTS, CONFIG]

    def misfit(self, source: EncoderFiles) -> str | None:
        return (Torchvision() if isinstance(source.config, ResNetConfig) else Timm()).misfit(source)

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        prefix, _, _ = _network(source)
        save_tensors(strip_prefix(encoder, prefix), folder / WEIGHTS)
        described = dumps(_config(source, encoder.width), indent=2)
        (folder / CONFIG).write_text(f"{described}\n", encoding="utf-8")

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        import timm

        network = timm.create_model(f"local-dir:{folder.absolute()}", pretrained=True)
        return with_normalization(source, network)

    def snippet(self, source: EncoderFiles) -> str:
        return (
            "import timm\nimport torch\n\n"
            'encoder = timm.create_model("local-dir:.", pretrained=True).eval()\n'
            '# or: AutoModel.from_pretrained("."), whose pooler_output the features are\n'
            f"{feed(source)}"
        )


def _network(source: EncoderFiles) -> tuple[str, str, dict[str, Any]]:
    """Returns the prefix of the encoder's keys, timm's name of the model, and its arguments."""
    if isinstance(source.config, ResNetConfig):
        arguments: dict[str, Any] = {"in_chans": source.preprocessing.channels}
        return "resnet.", source.config.architecture, arguments
    name, given = timm_network(source)
    arguments = {key: value for key, value in given.items() if key != "num_classes"}
    return "model." if Timm.wraps(source.config) else "", name, arguments


def _config(source: EncoderFiles, width: int) -> dict[str, Any]:
    """Returns what timm writes into config.json when it pushes a model."""
    _, name, arguments = _network(source)
    shape = source.preprocessing
    return {
        "architecture": name,
        "num_classes": 0,
        "num_features": width,
        "model_args": arguments,
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [shape.channels, shape.resolution, shape.resolution],
            "fixed_input_size": "img_size" in arguments,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": list(shape.mean),
            "std": list(shape.std),
            "num_classes": 0,
        },
    }
