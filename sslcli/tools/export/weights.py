"""Defines formats that hold weights in the keys of a library. Imports no torch.

Their networks take normalised pictures.
"""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli import nets, trained
from sslcli.nets.description import JSON, WEIGHTS
from sslcli.nets.encoder_config import EncoderConfig, Norm, ResNetConfig
from sslcli.nets.timm_config import TimmConfig
from sslcli.nets.vit_config import Pool, ViTConfig
from sslcli.tools.export.format import Features, Format, random_pictures, with_normalization
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

if TYPE_CHECKING:
    from torch import Tensor

    from sslcli.nets.encoder import Encoder


class Safetensors(Format):
    """Stores the run's own two files: weights, and the network's description."""

    holds = (
        "the weights under the encoder's own keys, with what is needed to build and to feed it "
        f"in `{JSON}`"
    )

    def files(self, source: EncoderFiles) -> list[str]:
        return [WEIGHTS, JSON]

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        trained.write_encoder(
            folder, encoder, source.config, source.preprocessing, source.seed, source.labels
        )

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        return with_normalization(source, trained.load_trained(read_encoder(folder)))

    def snippet(self, source: EncoderFiles) -> str:
        return (
            'import sslcli\nimport torch\n\nencoder = sslcli.load_encoder(".")  # this folder\n'
            + feed(source)
        )


class Torchvision(Format):
    """Stores the whole of torchvision's ResNet, with a classifier `fc` of zeros."""

    holds = (
        "the weights under torchvision's keys. `fc` was never trained: it is all zeros, there "
        "because torchvision's network has one, so that loading can be strict"
    )

    def files(self, source: EncoderFiles) -> list[str]:
        return [f"{_resnet(source)}.safetensors"]

    def misfit(self, source: EncoderFiles) -> str | None:
        shape, config = source.preprocessing, source.config
        if not isinstance(config, ResNetConfig):
            return "it is no ResNet of torchvision's"
        if config.has_small_stem(shape.resolution):
            return (
                "its first layer is the 3x3 of small pictures, torchvision's is 7x7 "
                "(encoder.stem=imagenet)"
            )
        if config.norm is not Norm.batch:
            return "it was trained with group norm, torchvision's network has batch norm"
        if shape.channels != 3:
            return (
                f"it was trained on pictures of {shape.channels} channels, "
                "torchvision's first layer takes 3"
            )
        return _bottleneck(source)

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        import torch

        state = strip_prefix(encoder, "resnet.")
        state["fc.weight"], state["fc.bias"] = torch.zeros(1000, encoder.width), torch.zeros(1000)
        save_tensors(state, folder / self.files(source)[0])

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        from safetensors.torch import load_file
        from torch.nn import Identity
        from torchvision.models import get_model

        assert isinstance(source.config, ResNetConfig), "misfit was asked"
        network = get_model(source.config.architecture, weights=None)
        network.load_state_dict(load_file(folder / self.files(source)[0]), strict=True)
        network.fc = Identity()
        return with_normalization(source, network)

    def snippet(self, source: EncoderFiles) -> str:
        name = _resnet(source)
        return (
            "import torch\nfrom safetensors.torch import load_file\n"
            f"from torchvision.models import {name}\n\n"
            f"encoder = {name}()\n"
            f"encoder.load_state_dict(load_file({dumps(self.files(source)[0])}))\n"
            "encoder.fc = torch.nn.Identity()  # or a classifier of your own, to be trained\n"
            "encoder.eval()\n" + feed(source)
        )


class Timm(Format):
    """Stores timm's model without its classifier."""

    holds = "the weights under timm's keys, without a classifier"
    packages = ("timm",)
    extra = "timm"

    @staticmethod
    def wraps(config: EncoderConfig) -> bool:
        """Tells whether the encoder holds timm's model as a part; else it has timm's own keys."""
        return isinstance(config, TimmConfig)

    def files(self, source: EncoderFiles) -> list[str]:
        name, _ = timm_network(source)
        return [f"{name.replace('/', '_')}.safetensors"]

    def misfit(self, source: EncoderFiles) -> str | None:
        config = source.config
        if not isinstance(config, TimmConfig | ViTConfig):
            return "it is no model of timm's"
        if isinstance(config, ViTConfig) and config.pool is Pool.grid:
            return "timm's models give no means by place (with --pool mean it does fit)"
        return _bottleneck(source)

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        prefix = "model." if self.wraps(source.config) else ""
        save_tensors(strip_prefix(encoder, prefix), folder / self.files(source)[0])

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        import timm
        from safetensors.torch import load_file

        name, arguments = timm_network(source)
        network = timm.create_model(name, **arguments)
        network.load_state_dict(load_file(folder / self.files(source)[0]), strict=True)
        return with_normalization(source, network)

    def snippet(self, source: EncoderFiles) -> str:
        name, arguments = timm_network(source)
        words = ", ".join([dumps(name), *(f"{key}={value!r}" for key, value in arguments.items())])
        return (
            "import timm\nimport torch\nfrom safetensors.torch import load_file\n\n"
            f"encoder = timm.create_model({words})\n"
            f"encoder.load_state_dict(load_file({dumps(self.files(source)[0])}))\n"
            "encoder.eval()\n" + feed(source)
        )


def _bottleneck(source: EncoderFiles) -> str | None:
    units = source.config.bottleneck
    return (
        None
        if units is None
        else f"it ends in a bottleneck of {units} units, which is sslcli's own"
    )


def _resnet(source: EncoderFiles) -> str:
    assert isinstance(source.config, ResNetConfig), "misfit was asked"
    return source.config.architecture


def timm_network(source: EncoderFiles) -> tuple[str, dict[str, Any]]:
    """Returns timm's name of the model, and the other arguments of timm.create_model."""
    config, shape = source.config, source.preprocessing
    if isinstance(config, ViTConfig):
        return config.timm_model, config.timm_arguments(shape.channels, shape.resolution)
    encoder = trained.build_untrained(source)
    assert isinstance(config, TimmConfig), "misfit was asked"
    assert isinstance(encoder, nets.TimmEncoder), "TimmConfig builds one"
    return config.model, encoder.arguments


def strip_prefix(encoder: Encoder, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in encoder.state_dict().items()}


def save_tensors(state: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, path, metadata={"format": "pt"})


def feed(source: EncoderFiles) -> str:
    """Returns the end of a snippet whose `encoder` takes normalised pictures."""
    shape = source.preprocessing
    return (
        f"{random_pictures(source)}"
        f"mean, std = torch.tensor({list(shape.mean)}), torch.tensor({list(shape.std)})\n"
        "with torch.no_grad():\n"
        "    features = encoder((pictures - mean[:, None, None]) / std[:, None, None])\n"
    )
