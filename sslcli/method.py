"""The contract between a method and the engine. Importing this module, or a method's, does not import torch.

A method says WHAT is minimised and in WHICH order; the engine's `minimize` says HOW. There are no hooks: what comes
after an update is the next line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.nets.encoder import Encoder

Metrics = dict[str, "Tensor"]
"""Scalars by name, detached, left on the device: reading them would make the device wait."""


@dataclass(frozen=True)
class Preprocessing:
    """What an encoder is fed: square pictures of `resolution` pixels, in [0, 1], minus `mean`, over `std` (per channel)."""

    resolution: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def without_normalization(self) -> Preprocessing:
        return replace(self, mean=(0.0,) * self.channels, std=(1.0,) * self.channels)


@dataclass(frozen=True)
class Progress:
    """Where training stands: `step` of `num_steps`, the first step being 0."""

    step: int
    num_steps: int

    @property
    def fraction(self) -> float:
        return self.step / self.num_steps


class Minimize(Protocol):
    """One optimizer step on `loss` for the parameters of `player`, which alone get a gradient."""

    def __call__(self, loss: Tensor, player: str = "method") -> None: ...


@dataclass(kw_only=True)
class MethodConfig:
    """Base of every method's config."""

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> Method:
        """The method, its networks freshly initialised from torch's global generator. Parts and plain values go in."""
        raise NotImplementedError


class Method:
    """Base of every method: a dataclass whose fields are its parts.

    All training state lives in the fields that are `nn.Module`s (parameters; buffers for queues, prototypes, averages):
    they are what is saved and resumed. `encoder` is what survives pretraining.
    """

    encoder: Encoder
    preprocessing: Preprocessing

    def modules(self) -> dict[str, nn.Module]:
        """The parts that hold state, by field name."""
        from torch import nn

        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in parts.items() if isinstance(value, nn.Module)}

    def players(self) -> dict[str, Sequence[nn.Module]]:
        """Who is trained, each by an optimizer of its own. An adversarial method has two."""
        return {"method": list(self.modules().values())}

    def views(self, images: Tensor) -> Tensor:
        """(N, H, W, C) uint8 -> what `train_step` takes, random from torch's global generators: by default (V·N, C, H, W)
        float32, view by view."""
        raise NotImplementedError

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        """One step of training; calls `minimize` once for every player's update. Returns at least "loss"."""
        raise NotImplementedError


Evaluate = Callable[[int], dict[str, float]]
"""What is measured now and then during training, by name, given the steps done."""
