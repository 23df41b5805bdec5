"""Tells which of sslcli's networks a file of weights holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslcli.nets.encoder_config import (
    EncoderConfig,
    ResNet18Config,
    ResNet34Config,
    ResNet50Config,
    Stem,
)
from sslcli.nets.vit_config import SHAPES, ViTConfig
from sslcli.nets.weight_names import NAMINGS, Tensors, before_in, joined, renamed

RESNETS: dict[tuple[bool, tuple[int, ...]], type[ResNet18Config | ResNet34Config | ResNet50Config]]
RESNETS = {
    (False, (2, 2, 2, 2)): ResNet18Config,
    (False, (3, 4, 6, 3)): ResNet34Config,
    (True, (3, 4, 6, 3)): ResNet50Config,
}
"""By whether blocks have three convolutions, and the number of blocks in every layer."""
IN_RESNETS, IN_VITS = "layer4.0.conv1.weight", "blocks.0.attn.qkv.weight"


def network_in(tables: Mapping[str, Tensors]) -> EncoderConfig | None:
    """Returns the config of the first network in the file that is known, by names and shapes."""
    for tensors in _networks(tables):
        found = _resnet(tensors) if IN_RESNETS in tensors else _vit(tensors)
        if found is not None:
            return found
    return None


def _networks(tables: Mapping[str, Tensors]) -> Iterator[Tensors]:
    """Yields the tensors of each network in the file, under torchvision's or timm's names."""
    for table in tables.values():
        for naming in NAMINGS:
            for anchor in naming.anchors or (IN_RESNETS, IN_VITS):
                for prefix in before_in(anchor, table):
                    inside = {n[len(prefix) :]: t for n, t in table.items() if n.startswith(prefix)}
                    yield joined({renamed(name, naming): t for name, t in inside.items()})


def _resnet(tensors: Tensors) -> EncoderConfig | None:
    blocks = tuple(_number(f"layer{layer}.", tensors) for layer in range(1, 5))
    cls = RESNETS.get(("layer1.0.conv3.weight" in tensors, blocks))
    first = tensors.get("conv1.weight")
    if cls is None or first is None:
        return None
    return cls(stem=Stem.imagenet if first.shape[2] == 7 else Stem.small)


def _vit(tensors: Tensors) -> EncoderConfig | None:
    first, qkv = tensors.get("patch_embed.proj.weight"), tensors.get(IN_VITS)
    if first is None or qkv is None:
        return None
    depth = _number("blocks.", tensors)
    for size, (width, blocks, _) in SHAPES.items():
        if (width, blocks) == (qkv.shape[1], depth):
            return ViTConfig(size=size, patch=int(first.shape[2]))
    return None


def _number(start: str, tensors: Tensors) -> int:
    """Returns how many numbers follow a beginning of names."""
    return len({name[len(start) :].split(".")[0] for name in tensors if name.startswith(start)})
