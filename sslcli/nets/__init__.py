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
    from sslcli.nets.encoder import MapBottleneck as MapBottleneck
    from sslcli.nets.frozen import Frozen as Frozen
    from sslcli.nets.layered import MLP as MLP
    from sslcli.nets.layered import ConvStack as ConvStack
    from sslcli.nets.layers import activation as activation
    from sslcli.nets.layers import normalization as normalization
    from sslcli.nets.moving_average import MovingAverage as MovingAverage
    from sslcli.nets.normalized import NormalizedEncoder as NormalizedEncoder
    from sslcli.nets.patches import MaskedPixels as MaskedPixels
    from sslcli.nets.patches import PatchDecoder as PatchDecoder
    from sslcli.nets.patches import require_patches as require_patches
    from sslcli.nets.patches import to_patches as to_patches
    from sslcli.nets.patches import to_pictures as to_pictures
    from sslcli.nets.projector import mlp_head as mlp_head
    from sslcli.nets.projector import projection_head as projection_head
    from sslcli.nets.prototypes import Prototypes as Prototypes
    from sslcli.nets.public_weights import PublicWeights as PublicWeights
    from sslcli.nets.public_weights import timm_weights as timm_weights
    from sslcli.nets.public_weights import torchvision_weights as torchvision_weights
    from sslcli.nets.queue import Queue as Queue
    from sslcli.nets.running_mean import RunningMean as RunningMean
    from sslcli.nets.teacher import load_teacher as load_teacher
    from sslcli.nets.timm_encoder import TimmEncoder as TimmEncoder
    from sslcli.nets.timm_encoder import build_timm_encoder as build_timm_encoder
    from sslcli.nets.vit import VisionTransformer as VisionTransformer

HOME = {
    "Bottleneck": "encoder",
    "ChannelwiseBottleneck": "context",
    "ContextNet": "context",
    "ConvNet": "convolutional",
    "ConvStack": "layered",
    "FullyConnectedBottleneck": "context",
    "Frozen": "frozen",
    "MLP": "layered",
    "MapBottleneck": "encoder",
    "MaskedPixels": "patches",
    "MovingAverage": "moving_average",
    "NormalizedEncoder": "normalized",
    "PatchDecoder": "patches",
    "PatchDiscriminator": "context",
    "Prototypes": "prototypes",
    "PublicWeights": "public_weights",
    "Queue": "queue",
    "ResNetEncoder": "convolutional",
    "RunningMean": "running_mean",
    "TimmEncoder": "timm_encoder",
    "VisionTransformer": "vit",
    "activation": "layers",
    "build_timm_encoder": "timm_encoder",
    "load_teacher": "teacher",
    "mlp_head": "projector",
    "normalization": "layers",
    "projection_head": "projector",
    "require_patches": "patches",
    "resnet": "convolutional",
    "timm_weights": "public_weights",
    "to_patches": "patches",
    "to_pictures": "patches",
    "torchvision_weights": "public_weights",
}

__getattr__ = exports(__name__, HOME)
