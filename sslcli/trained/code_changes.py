"""Computes what a move of the codes changes in the pictures that the network sees."""

from __future__ import annotations

from torch import Tensor

from sslcli.trained.coder import Coder

SMALL = 0.1
"""The part of a picture's largest change below which nothing changes; chosen on validation."""


def decoded(coder: Coder, codes: Tensor) -> Tensor:
    """Decodes flat codes (N, D) to pictures (N, C, R, R) in [0, 1]."""
    return coder.decode(codes.float().view(-1, *coder.code_shape))


def changes(coder: Coder, codes: Tensor, ways: Tensor, strength: float) -> Tensor:
    """Returns by how much pictures (N, C, R, R) change where codes (N, D) go `strength` ways.

    It is the difference of two decoded pictures, so that what the codes do not hold stays as it is.
    """
    moved = decoded(coder, codes + strength * ways)
    return without_small(moved - decoded(coder, codes))


def without_small(change: Tensor) -> Tensor:
    """Brings every change nearer to 0 by SMALL of its picture's largest, and to 0 below that.

    What hardly changes is the decoder's imprecision more than what was asked for.
    """
    smallest = SMALL * change.abs().amax(dim=(1, 2, 3), keepdim=True)
    return change.sign() * (change.abs() - smallest).clamp(min=0)
