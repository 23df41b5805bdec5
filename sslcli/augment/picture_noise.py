"""Draws noise of any size from one number a picture.

The numbers are drawn on the CPU, the noise is made on the pictures' device, block by block: the
same on every device but for rounding, and however a batch is cut.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST_SEED = 2**52
"""Seeds are whole numbers below this, which a float64 holds exactly."""
GOLDEN = 0x9E3779B97F4A7C15 - 2**64
FIRST, SECOND = 0xFF51AFD7ED558CCD - 2**64, 0xC4CEB9FE1A85EC53 - 2**64
"""The increment of splitmix64 and the factors of MurmurHash3's last step, as signed numbers."""


def draw_seeds(num_images: int) -> Tensor:
    """Draws (N,) float64 whole numbers on the CPU."""
    return torch.randint(LARGEST_SEED, (num_images,)).double()


def uniform(seeds: Tensor, count: int) -> Tensor:
    """Returns (N, count) float32 between 0 and 1, from (N,) seeds."""
    return _fraction(_hashed(seeds, count), 40)


def normal(seeds: Tensor, count: int) -> Tensor:
    """Returns (N, count) float32 of mean 0 and deviation 1, from (N,) seeds.

    Source: Box and Muller 1958.
    """
    bits = _hashed(seeds, count)
    radius = _fraction(bits, 40).log_().mul_(-2).sqrt_()
    return radius.mul_(_fraction(bits, 8).mul_(2 * math.pi).cos_())


def _hashed(seeds: Tensor, count: int) -> Tensor:
    """Returns (N, count) int64: 64 random bits for each place."""
    places = torch.arange(1, count + 1, device=seeds.device) * GOLDEN
    bits = _mixed(seeds.long()).unsqueeze(1) + places
    return _mixed(bits)


def _mixed(bits: Tensor) -> Tensor:
    for factor in (FIRST, SECOND):
        bits = (bits ^ (bits >> 33 & (2**31 - 1))) * factor
    return bits ^ (bits >> 33 & (2**31 - 1))


def _fraction(bits: Tensor, shift: int) -> Tensor:
    """Returns 24 bits from `shift` on as a number between 0 and 1, neither included."""
    return (bits >> shift & (2**24 - 1)).float().add_(0.5).mul_(2.0**-24)
