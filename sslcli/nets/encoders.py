"""The table of encoders. Does not import torch."""

from __future__ import annotations

from sslcli.choices import Choices
from sslcli.nets.encoder_config import (
    ContextConfig,
    ConvNetConfig,
    ConvStackConfig,
    EncoderConfig,
    MLPConfig,
    ResNet18Config,
    ResNet34Config,
    ResNet50Config,
)
from sslcli.nets.timm_config import TimmConfig
from sslcli.nets.vit_config import ViTConfig

ENCODERS: Choices[EncoderConfig] = Choices(
    "encoder",
    EncoderConfig,
    {
        "convnet": ConvNetConfig,
        "resnet18": ResNet18Config,
        "resnet34": ResNet34Config,
        "resnet50": ResNet50Config,
        "mlp": MLPConfig,
        "conv_stack": ConvStackConfig,
        "context": ContextConfig,
        "vit": ViTConfig,
        "timm": TimmConfig,
    },
    "sslcli.encoders",
    presets=("sigmoid_mlp",),
)
