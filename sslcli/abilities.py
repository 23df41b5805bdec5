"""Defines what a method may be able to do beside training an encoder, each a protocol.

Importing this module does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


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


@runtime_checkable
class Clusterer(Protocol):
    """A method that compares pictures with prototypes: SwAV, DINO."""

    def prototype_scores(self, pictures: Tensor) -> Tensor:
        """Pictures as the encoder is fed them -> (N, K): their scores with each prototype.

        The highest score of a picture names its prototype. Eval mode and no gradient are the
        caller's.
        """
        ...


@runtime_checkable
class Decoding(Protocol):
    """A method whose codes (`encoder.code`) become pictures again: an autoencoder."""

    def decode(self, codes: Tensor) -> Tensor:
        """Decodes (N, *encoder.code_shape) to pictures (N, C, H, W) in [0, 1].

        Eval mode and no gradient are the caller's.
        """
        ...
