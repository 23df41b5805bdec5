"""The layouts of public checkpoints: the same tensors as libraries name and nest them."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


def under(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def untrained(tensors: Tensors) -> Tensors:
    """The same names with other numbers: of another network in the file."""
    return {name: torch.randn(t.shape).to(t.dtype) for name, t in tensors.items()}


def ddp(tensors: Tensors) -> Any:
    return {"epoch": 3, "state_dict": under("module.", tensors), "optimizer": {"state": {0: {}}}}


def moco(tensors: Tensors) -> Any:
    """Of facebookresearch/moco: query and key encoder, each with a head named fc, and a queue."""
    key = under("module.encoder_k.", untrained(tensors))
    head = {"module.encoder_q.fc.0.weight": torch.randn(4, 4), "module.queue": torch.randn(4, 8)}
    return {"state_dict": {**key, **under("module.encoder_q.", tensors), **head}, "arch": "r"}


def dino(tensors: Tensors) -> Any:
    """Of facebookresearch/dino: a student under DDP, and the teacher."""
    head = {"head.mlp.0.weight": torch.randn(4, 4)}
    student = under("module.backbone.", untrained(tensors))
    return {
        "student": {**student, **under("module.", head)},
        "teacher": {**under("backbone.", tensors), **head},
    }


def lightly(tensors: Tensors) -> Any:
    """A Lightning checkpoint of lightly's examples: torchvision's children in a row."""
    index = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    row = {
        f"{index[name.split('.')[0]]}.{name.partition('.')[2]}": tensor
        for name, tensor in tensors.items()
    }
    head = {"projection_head.layers.0.weight": torch.randn(4, 4)}
    return {"state_dict": {**under("backbone.", row), **head}, "global_step": 5}


def lightly_small(tensors: Tensors) -> Any:
    """The same of lightly's own ResNetGenerator, whose row has no ReLU behind the first norm."""
    index = {"conv1": 0, "bn1": 1, "layer1": 2, "layer2": 3, "layer3": 4, "layer4": 5}
    row = {
        f"{index[name.split('.')[0]]}.{name.partition('.')[2]}".replace(
            ".downsample.", ".shortcut."
        ): tensor
        for name, tensor in tensors.items()
    }
    return {"state_dict": under("backbone.", row)}


def solo_learn(tensors: Tensors) -> Any:
    momentum = under("momentum_backbone.", untrained(tensors))
    head = {"classifier.weight": torch.randn(4, 4), "projector.0.weight": torch.randn(4, 4)}
    return {"state_dict": {**momentum, **under("backbone.", tensors), **head}}


def stable_pretraining(tensors: Tensors) -> Any:
    head = {"projector.0.weight": torch.randn(4, 4), "callbacks_modules.x": torch.randn(4)}
    return {"state_dict": {**under("backbone.", tensors), **head}, "loops": {}}


def sup_contrast(tensors: Tensors) -> Any:
    named = {name.replace(".downsample.", ".shortcut."): t for name, t in tensors.items()}
    return {"model": under("encoder.module.", named)}


def torchvision(tensors: Tensors) -> Any:
    return {**tensors, "fc.weight": torch.randn(1000, 4), "fc.bias": torch.randn(1000)}


def hugging_face_resnet(tensors: Tensors) -> Any:
    """Of transformers.ResNetForImageClassification."""
    rules = (
        (r"^conv1\.", "embedder.embedder.convolution."),
        (r"^bn1\.", "embedder.embedder.normalization."),
        (r"downsample\.0", "shortcut.convolution"),
        (r"downsample\.1", "shortcut.normalization"),
        (r"\.conv(\d)\.", lambda found: f".layer.{int(found[1]) - 1}.convolution."),
        (r"\.bn(\d)\.", lambda found: f".layer.{int(found[1]) - 1}.normalization."),
        (r"^layer(\d)\.(\d)", lambda f: f"encoder.stages.{int(f[1]) - 1}.layers.{f[2]}"),
    )
    named = {_renamed(name, rules): tensor for name, tensor in tensors.items()}
    return {**under("resnet.", named), "classifier.1.weight": torch.randn(10, 4)}


def timm(tensors: Tensors) -> Any:
    return {**tensors, "head.weight": torch.randn(1000, 4), "head.bias": torch.randn(1000)}


COMMON = (
    (r"^cls_token", "embeddings.cls_token"),
    (r"^pos_embed", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
    (r"norm1", "layernorm_before"),
    (r"norm2", "layernorm_after"),
    (r"^norm", "layernorm"),
)
HUGGING_FACE_4 = (
    *COMMON,
    (r"blocks\.(\d+)\.", r"encoder.layer.\1."),
    (r"attn\.proj", "attention.output.dense"),
    (r"attn\.(query|key|value)", r"attention.attention.\1"),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
)
HUGGING_FACE_5 = (
    *COMMON,
    (r"blocks\.(\d+)\.", r"layers.\1."),
    (r"attn\.proj", "attention.o_proj"),
    (r"attn\.(q|k|v)(uery|ey|alue)", r"attention.\1_proj"),
)
"""transformers 5 renamed them; the files on its hub have the older names."""


def hugging_face_vit(tensors: Tensors) -> Any:
    """Of transformers.ViTForImageClassification, as its hub's files are."""
    named = {_renamed(name, HUGGING_FACE_4): t for name, t in parted(tensors).items()}
    return {**under("vit.", named), "classifier.weight": torch.randn(10, 4)}


def hugging_face_vit_5(tensors: Tensors) -> Any:
    named = {_renamed(name, HUGGING_FACE_5): t for name, t in parted(tensors).items()}
    return {**under("vit.", named), "classifier.weight": torch.randn(10, 4)}


def torchvision_vit(tensors: Tensors) -> Any:
    rules = (
        (r"^norm\.", "encoder.ln."),
        (r"^cls_token", "class_token"),
        (r"^pos_embed", "encoder.pos_embedding"),
        (r"^patch_embed\.proj", "conv_proj"),
        (r"blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
        (r"norm(\d)", r"ln_\1"),
        (r"attn\.qkv\.", "self_attention.in_proj_"),
        (r"attn\.proj", "self_attention.out_proj"),
        (r"mlp\.fc1", "mlp.0"),
        (r"mlp\.fc2", "mlp.3"),
    )
    named = {_renamed(name, rules): tensor for name, tensor in tensors.items()}
    return {**named, "heads.head.weight": torch.randn(10, 4)}


def mae(tensors: Tensors) -> Any:
    decoder = {"decoder_blocks.0.norm1.weight": torch.randn(4), "mask_token": torch.randn(1, 1, 4)}
    return {"model": {**tensors, **decoder}}


def parted(tensors: Tensors) -> Tensors:
    """Queries, keys and values apart."""
    apart: Tensors = {}
    for name, tensor in tensors.items():
        if ".qkv." in name:
            for word, part in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                apart[name.replace("qkv", word)] = part
        else:
            apart[name] = tensor
    return apart


def _renamed(name: str, rules: Any) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def randomised(network: nn.Module) -> nn.Module:
    """The network in eval mode with random numbers everywhere, also where it begins with 0 or 1."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and (
                tensor.ndim < 2 or "embed" in name or "token" in name
            ):
                tensor.uniform_(0.5, 1.5)
    return network.eval()


RESNETS = (torchvision, ddp, moco, dino, lightly, solo_learn, stable_pretraining,
           sup_contrast, hugging_face_resnet)  # fmt: skip
VITS = (timm, dino, mae, ddp, hugging_face_vit, hugging_face_vit_5, torchvision_vit)
