"""Exports the networks that configs build.

Importing this does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.nets.context import ChannelwiseBottleneck as ChannelwiseBottleneck
    from sslcli.nets.context import ContextNet as ContextNet
    from sslcli.nets.context import FullyConnectedBottleneck as FullyConnectedBottleneck
    from sslcli.nets.context import PatchDiscriminator as PatchDiscriminator
    from sslcli.nets.convolutional import ConvNet as ConvNet
    from sslcli.nets.convolutional import ResNetEncoder as ResNetEncoder
    from sslcli.nets.convolutional import resnet as resnet
    from sslcli.nets.encoder import Bottleneck as Bottleneck
    from sslcli.nets.layered import MLP as MLP
    from sslcli.nets.layered import ConvStack as ConvStack
    from sslcli.nets.layers import activation as activation
    from sslcli.nets.layers import normalization as normalization
    from sslcli.nets.normalized import NormalizedEncoder as NormalizedEncoder
    from sslcli.nets.projector import projection_head as projection_head
    from sslcli.nets.timm_encoder import TimmEncoder as TimmEncoder
    from sslcli.nets.timm_encoder import build_timm_encoder as build_timm_encoder

HOME = {
    "Bottleneck": "encoder",
    "ChannelwiseBottleneck": "context",
    "ContextNet": "context",
    "ConvNet": "convolutional",
    "ConvStack": "layered",
    "FullyConnectedBottleneck": "context",
    "MLP": "layered",
    "NormalizedEncoder": "normalized",
    "PatchDiscriminator": "context",
    "ResNetEncoder": "convolutional",
    "TimmEncoder": "timm_encoder",
    "activation": "layers",
    "build_timm_encoder": "timm_encoder",
    "normalization": "layers",
    "projection_head": "projector",
    "resnet": "convolutional",
}

__getattr__ = exports(__name__, HOME)
