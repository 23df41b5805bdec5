"""Defines the contract between a method and the engine.

Importing this module, or a method's, does not import torch.

A method says WHAT is minimised and in WHICH order; the engine's `minimize` says HOW. There are no
hooks: what comes after an update is the next line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.nets.encoder import Encoder

Metrics = dict[str, "Tensor"]
"""Scalars by name, detached, left on the device: reading them would make the device wait."""


def as_pictures(images: Tensor) -> Tensor:
    """Converts (N, H, W, C) uint8 to (N, C, H, W) float32 in [0, 1]."""
    return images.permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class Preprocessing:
    """Says what an encoder is fed: square pictures of `resolution` pixels, normalised.

    They are in [0, 1] minus `mean`, over `std` (per channel).
    """

    resolution: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalized(self, pictures: Tensor) -> Tensor:
        """Converts (N, C, H, W) in [0, 1] to the encoder's input."""
        mean, std = (pictures.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (pictures - mean) / std

    def without_normalization(self) -> Preprocessing:
        return replace(self, mean=(0.0,) * self.channels, std=(1.0,) * self.channels)


@dataclass(frozen=True)
class Progress:
    """Says where training stands: `step` of `num_steps`, the first step being 0."""

    step: int
    num_steps: int

    @property
    def fraction(self) -> float:
        return self.step / self.num_steps


class Minimize(Protocol):
    """Takes one optimizer step on `loss` for the parameters of `players`.

    They alone get a gradient; none named: "method".
    """

    def __call__(self, loss: Tensor, *players: str) -> None: ...


Batch = TypeVar("Batch", contravariant=True)
Views = TypeVar("Views")


class Learner(Protocol[Batch, Views]):
    """Is what the engine trains: a `Method`, or a classifier.

    A classifier's batches hold labels too. `Method` says what each member means.
    """

    def modules(self) -> dict[str, nn.Module]: ...

    def players(self) -> dict[str, Sequence[nn.Module]]: ...

    def learning_rates(self) -> dict[str, float]: ...

    def views(self, images: Batch, /) -> Views: ...

    def train_step(self, views: Views, minimize: Minimize, progress: Progress) -> Metrics: ...

    def satisfied(self) -> bool: ...


@dataclass(kw_only=True)
class MethodConfig:
    """Is the base of every method's config."""

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> Method:
        """Builds the method, with initial weights from torch's global generator.

        Parts and plain values go in.
        """
        raise NotImplementedError


class Method:
    """Is the base of every method: a dataclass whose fields are its parts.

    All training state lives in the fields that are `nn.Module`s (parameters; buffers for queues,
    prototypes, averages): they are what is saved and resumed. `encoder` is what survives
    pretraining.
    """

    encoder: Encoder
    preprocessing: Preprocessing

    def modules(self) -> dict[str, nn.Module]:
        """Returns the parts that hold state, by field name."""
        from torch import nn

        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in parts.items() if isinstance(value, nn.Module)}

    def players(self) -> dict[str, Sequence[nn.Module]]:
        """Returns who is trained, each by its own optimizer; two in adversarial methods."""
        return {"method": list(self.modules().values())}

    def learning_rates(self) -> dict[str, float]:
        """Returns every player's learning rate as a multiple of the optimizer's."""
        return dict.fromkeys(self.players(), 1.0)

    def whole_batch_parts(self) -> Sequence[nn.Module]:
        """Returns the parts that are fed the rows of all processes (`gathered`).

        Their batch norm is right as it is.
        """
        return []

    def satisfied(self) -> bool:
        """Tells, after every evaluation, whether training may end before its last step.

        It may where there is nothing more to learn.
        """
        return False

    def views(self, images: Tensor) -> Tensor:
        """Makes what `train_step` takes of (N, H, W, C) uint8.

        Random from torch's global generators; by default (V·N, C, H, W) float32, view by view.
        """
        raise NotImplementedError

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        """Trains one step; calls `minimize` once for every player's update.

        Returns at least "loss".
        """
        raise NotImplementedError


@runtime_checkable
class Restorer(Protocol):
    """Is a method that makes damaged pictures whole.

    Pictures are (N, C, H, W) in [0, 1] at the method's resolution; `hidden` (N, 1, H, W) is True
    where a picture is to be restored. Both work on the device of what they are given; `damage`
    draws from torch's global generators.
    """

    def uses_damaged_pixels(self) -> bool:
        """Tells whether damaged pixels are an input (denoising) or ignored (inpainting)."""
        ...

    def damage(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Returns pictures damaged as in training, and `hidden`."""
        ...

    def restore(self, damaged: Tensor, hidden: Tensor) -> Tensor:
        """Returns pictures in [0, 1]; where nothing is `hidden` they mean nothing.

        Eval mode and no gradient are the caller's.
        """
        ...


Evaluate = Callable[[int], dict[str, float]]
"""What is measured now and then during training, by name, given the steps done."""
