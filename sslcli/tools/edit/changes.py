"""Computes what a move of the codes changes in the pictures that the network sees."""

from __future__ import annotations

from torch import Tensor

from sslcli.evaluation.least_change import without_small
from sslcli.trained.coder import Coder


def decoded(coder: Coder, codes: Tensor) -> Tensor:
    """Decodes flat codes (N, D) to pictures (N, C, R, R) in [0, 1]."""
    return coder.decode(codes.float().view(-1, *coder.code_shape))


def changes(coder: Coder, codes: Tensor, ways: Tensor, strength: float) -> Tensor:
    """Returns by how much pictures (N, C, R, R) change where codes (N, D) go `strength` ways.

    It is the difference of two decoded pictures, so that what the codes do not hold stays as it is.
    """
    moved = decoded(coder, codes + strength * ways)
    return without_small(moved - decoded(coder, codes))
