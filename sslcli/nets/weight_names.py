"""Recognises whose names the tensors of a file have, by their content.

A table is what one dictionary of the file holds: tensors by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = dict[str, Tensor]
Rule: TypeAlias = tuple[str, str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True)
class Naming:
    """Says how a library names the tensors of a network that encoders share with it.

    `anchors`: a tensor that each such network has, by which its place in a file is found; none
    where the names are the encoder's own. `rules`: replaced in turn, they give the encoder's names,
    which are torchvision's for ResNets and timm's for all others. `differs`: how the network
    computes something else than an encoder with the same tensors.
    """

    library: str
    anchors: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    differs: str = ""


def _numbered(text: str, plus: int) -> Callable[[re.Match[str]], str]:
    """Returns what puts the number that was found, `plus` another, into a text."""
    return lambda found: text.format(int(found[1]) + plus)


OWN = Naming("sslcli")
PLAIN = Naming("torchvision or timm")
NAMINGS = (
    PLAIN,
    Naming(
        "Hugging Face, ResNet",
        ("embedder.embedder.convolution.weight",),
        (
            (r"^embedder\.embedder\.convolution", "conv1"),
            (r"^embedder\.embedder\.normalization", "bn1"),
            (r"^encoder\.stages\.(\d+)\.layers", _numbered("layer{}", 1)),
            (r"\blayer\.(\d+)\.convolution", _numbered("conv{}", 1)),
            (r"\blayer\.(\d+)\.normalization", _numbered("bn{}", 1)),
            (r"\bshortcut\.convolution", "downsample.0"),
            (r"\bshortcut\.normalization", "downsample.1"),
        ),
    ),
    Naming(
        "Hugging Face, ViT",
        ("embeddings.patch_embeddings.projection.weight",),
        (
            (r"^embeddings\.cls_token", "cls_token"),
            (r"^embeddings\.position_embeddings", "pos_embed"),
            (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
            (r"^(?:encoder\.)?layers?\.(\d+)\.", _numbered("blocks.{}.", 0)),
            (r"\battention\.(?:attention\.)?(q|k|v)(?:uery|ey|alue|_proj)\b", r"attn.\1"),
            (r"\battention\.(?:output\.dense|o_proj)\b", "attn.proj"),
            (r"\bintermediate\.dense\b", "mlp.fc1"),
            (r"\boutput\.dense\b", "mlp.fc2"),
            (r"\blayernorm_before\b", "norm1"),
            (r"\blayernorm_after\b", "norm2"),
            (r"^layernorm\b", "norm"),
            (r"\blayer_scale(\d)\.lambda1\b", r"ls\1.gamma"),
        ),
    ),
    Naming(
        "torchvision, ViT",
        ("conv_proj.weight",),
        (
            (r"^class_token", "cls_token"),
            (r"^conv_proj", "patch_embed.proj"),
            (r"^encoder\.pos_embedding", "pos_embed"),
            (r"^encoder\.layers\.encoder_layer_(\d+)", _numbered("blocks.{}", 0)),
            (r"\bln_(\d)\b", r"norm\1"),
            (r"\bself_attention\.in_proj_", "attn.qkv."),
            (r"\bself_attention\.out_proj\b", "attn.proj"),
            (r"\bmlp\.(?:0|linear_1)\b", "mlp.fc1"),
            (r"\bmlp\.(?:3|linear_2)\b", "mlp.fc2"),
            (r"^encoder\.ln\b", "norm"),
        ),
    ),
    Naming(
        "torchvision, ResNet's children in a row",
        ("4.0.conv1.weight",),
        (
            (r"^0\.", "conv1."),
            (r"^1\.", "bn1."),
            (r"^([4-7])\.", _numbered("layer{}.", -3)),
        ),
    ),
    Naming(
        "lightly, its own ResNet's children in a row",
        ("2.0.conv1.weight",),
        (
            (r"^0\.", "conv1."),
            (r"^1\.", "bn1."),
            (r"^([2-5])\.", _numbered("layer{}.", -1)),
            (r"\.shortcut\.", ".downsample."),
        ),
        "has no ReLU behind its first norm, as its ReLUs are no modules that stand in a row",
    ),
    Naming("ResNet with shortcuts", (), ((r"\.shortcut\.", ".downsample."),)),
)
"""From the commonest to the rarest: of namings that fit alike, the first counts."""

PLACES = (
    ("encoder_q", "MoCo's query encoder"),
    ("encoder_k", "MoCo's key encoder"),
    ("base_encoder", "MoCo v3's base encoder"),
    ("momentum_encoder", "MoCo v3's momentum encoder"),
    ("teacher", "a teacher, as DINO's"),
    ("student", "a student, as DINO's"),
    ("backbone", "a backbone, as lightly, solo-learn and stable-pretraining name it"),
    ("module", "a network of DDP"),
)
PREFERRED = ("teacher", "ema")
PUT_OFF = ("student", "momentum", "momentum_encoder", "momentum_backbone", "backbone_momentum",
           "encoder_k", "target")  # fmt: skip
"""Of two networks of a file that fit alike, a teacher comes first, and these come last."""


@dataclass(frozen=True)
class Candidate:
    """Holds the tensors of one network in a file, under the encoder's own names.

    `place`: what stood before the names, with the file's dictionaries; `names`: in the file, by
    the encoder's names.
    """

    naming: Naming
    place: str
    tensors: Tensors

    @property
    def words(self) -> list[str]:
        """Returns the parts of the place, such as state_dict, module, encoder_q."""
        return [word for word in re.split(r"[./]", self.place) if word]

    @property
    def rank(self) -> int:
        """Returns the place among networks that fit alike: the lowest is taken."""
        words = set(self.words) | set("_".join(self.words).split("_"))
        return 1 + bool(words & set(PUT_OFF)) - bool(words & set(PREFERRED))

    def described(self) -> str:
        """Says whose names they are, and where they stand."""
        of = [meaning for word, meaning in PLACES if word in self.words]
        where = f", under {self.place}" if self.place else ""
        return f"the names of {self.naming.library}{where}" + (f" ({'; '.join(of)})" if of else "")


def candidates(tables: Mapping[str, Tensors], own: Mapping[str, Tensor]) -> list[Candidate]:
    """Returns every place and naming of a file under which the encoder may stand.

    `tables`: by the path of their dictionary; `own`: the encoder's state.
    """
    plain = {plain_name(name): name for name in own}
    if len(plain) < len(own):  # two parts of the encoder would get one name
        plain = {name: name for name in own}
    found: dict[tuple[str, str], Candidate] = {}
    for path, table in tables.items():
        for naming, names in _ways(own, plain):
            anchors = naming.anchors or _largest({names[name]: name for name in names}, own)
            starts = {start for anchor in anchors for start in before_in(anchor, table)}
            # The beginning itself too, so that of a file that hardly fits the little is found.
            for prefix in sorted(starts | ({""} if not naming.anchors else set())):
                inside = {n[len(prefix) :]: t for n, t in table.items() if n.startswith(prefix)}
                translated = joined({renamed(name, naming): t for name, t in inside.items()})
                tensors = {names.get(name, name): tensor for name, tensor in translated.items()}
                place = "/".join(part for part in (path, prefix.rstrip(".")) if part)
                found.setdefault((place, naming.library), Candidate(naming, place, tensors))
    return list(found.values())


def _ways(
    own: Mapping[str, Tensor], plain: dict[str, str]
) -> Iterator[tuple[Naming, dict[str, str]]]:
    """Yields every naming, with the encoder's names by those that it gives."""
    if list(plain) != list(own):
        yield OWN, {name: name for name in own}
    for naming in NAMINGS:
        known = naming is not PLAIN or list(plain) != list(own) or "cls_token" in own
        yield naming if known else OWN, plain


def plain_name(name: str) -> str:
    """Returns an encoder's name of a tensor as torchvision or timm has it."""
    return re.sub(r"^(encoder\.)?((resnet|model)\.)?", "", name)


def renamed(name: str, naming: Naming) -> str:
    for pattern, replacement in naming.rules:
        name = re.sub(pattern, replacement, name)
    return name


def joined(tensors: Tensors) -> Tensors:
    """Returns the tensors with queries, keys and values of a layer in one, as timm has them."""
    rest = dict(tensors)
    for name in tensors:
        found = re.fullmatch(r"(.*\battn)\.q\.(weight|bias)", name)
        if found is None:
            continue
        parts = [f"{found[1]}.{letter}.{found[2]}" for letter in "qkv"]
        if all(part in rest for part in parts):
            rest[f"{found[1]}.qkv.{found[2]}"] = torch.cat([rest.pop(part) for part in parts])
    return rest


def _largest(names: Mapping[str, str], own: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of the encoder's three largest tensors."""
    by_size = sorted(names, key=lambda name: -own[name].numel())
    return [names[name] for name in by_size[:3]]


def before_in(anchor: str, table: Tensors) -> Iterator[str]:
    """Yields what stands before a name where it occurs in a table."""
    for name in table:
        start = name.removesuffix(anchor)
        if name.endswith(anchor) and (not start or start.endswith(".")):
            yield start
