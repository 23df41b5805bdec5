"""Scores restored pictures. N pictures, C channels, H W; values in [0, 1].

`restored` and `truth` are whole pictures (N, C, H, W) with the same visible pixels, because windows
and gradients reach beyond the scored region. `restored` is clamped to [0, 1]. `region` (N, 1, H, W)
bool is True where a picture is scored; every picture has such a pixel. Every score is (N,), one a
picture, over all channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sslcli.errors import SslcliError

SSIM_WINDOW = 11
"""Side of SSIM's window in pixels: smaller pictures have no SSIM."""
SMALLEST_ERROR = 1e-10
"""The least mean squared error that counts: the PSNR of a perfect picture is 100 dB."""
BLOCK = 2**22
"""SSIM works on about this many values of the pictures at a time."""


def mean_absolute_error(restored: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    return _mean((restored.clamp(0, 1) - truth).abs(), region)


def mean_squared_error(restored: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    return _mean((restored.clamp(0, 1) - truth).square(), region)


def psnr(restored: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Returns the peak signal-to-noise ratio in dB, 10 log10(1 / MSE), at most 100."""
    return -10 * mean_squared_error(restored, truth, region).clamp(min=SMALLEST_ERROR).log10()


def ssim(restored: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Returns the structural similarity, at most 1, averaged over the region.

    Pixels within 5 of the picture's edge have no value: a region wholly there gives NaN. Source:
    Wang et al. 2004: a Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, covariances
    not corrected for the sample's size. Channels are compared one by one. Raises SslcliError for
    pictures smaller than the window.
    """
    height, width = truth.shape[2:]
    if min(height, width) < SSIM_WINDOW:
        raise SslcliError(
            f"SSIM looks through a window of {SSIM_WINDOW} pixels, the pictures are "
            f"{height} x {width}",
            f"take a resolution of at least {SSIM_WINDOW}",
        )
    edge = SSIM_WINDOW // 2
    inner = region[:, :, edge : height - edge, edge : width - edge]
    num_blocks = math.ceil(truth.numel() / BLOCK)
    blocks = zip(*(part.chunk(num_blocks) for part in (restored, truth, inner)), strict=True)
    return torch.cat([_mean(_ssim_map(x.clamp(0, 1), y), where) for x, y, where in blocks])


def gradient_magnitude(pictures: Tensor, region: Tensor) -> Tensor:
    """Measures sharpness: the mean length of the gradient in the region.

    By forward differences of neighbouring pixels that all lie in the region, so its border does not
    count. NaN where the region is nowhere wide enough.
    """
    here, below, right = (
        (..., slice(-1), slice(-1)),
        (..., slice(1, None), slice(-1)),
        (..., slice(-1), slice(1, None)),
    )
    length = torch.hypot(pictures[below] - pictures[here], pictures[right] - pictures[here])
    return _mean(length, region[here] & region[below] & region[right])


def restoration_scores(restored: Tensor, truth: Tensor, region: Tensor) -> dict[str, float]:
    """Returns the pictures' mean "l1" and "l2" in percent, "psnr" in dB and "ssim".

    "l2" is in percent of the range's square. Pictures without an SSIM (smaller than 11 x 11 pixels,
    or NaN) do not count; "ssim" is left out where none has one.
    """
    scores = {
        "l1": 100 * float(mean_absolute_error(restored, truth, region).mean()),
        "l2": 100 * float(mean_squared_error(restored, truth, region).mean()),
        "psnr": float(psnr(restored, truth, region).mean()),
    }
    similarity = (
        float(ssim(restored, truth, region).nanmean())
        if min(truth.shape[2:]) >= SSIM_WINDOW
        else math.nan
    )
    return scores if math.isnan(similarity) else {**scores, "ssim": similarity}


def _mean(values: Tensor, region: Tensor) -> Tensor:
    """Returns the means (N,) of `values` (N, C, H, W) over `region`; NaN where empty."""
    count = region.flatten(1).sum(dim=1) * values.shape[1]
    return values.where(region, 0).flatten(1).sum(dim=1) / count


def _ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Returns the index (N, C, H - 10, W - 10) of every window inside the picture."""
    down, across = (_gaussian(length, x) for length in x.shape[2:])
    # By matrix products: a GPU's convolutions round to TF32, too coarse for differences of squares.
    mean_x, mean_y, xx, yy, xy = down @ torch.stack([x, y, x * x, y * y, x * y]) @ across.T
    luminance, contrast = 0.01**2, 0.03**2
    covariance, variances = xy - mean_x * mean_y, xx - mean_x.square() + yy - mean_y.square()
    products, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    similar = (2 * products + luminance) * (2 * covariance + contrast)
    index: Tensor = similar / ((squares + luminance) * (variances + contrast))
    return index


def _gaussian(length: int, like: Tensor) -> Tensor:
    """Returns weights (length - 10, length); row i weighs the window that begins at i."""
    offset = torch.arange(SSIM_WINDOW, device=like.device, dtype=like.dtype) - SSIM_WINDOW // 2
    weights = torch.softmax(-0.5 * (offset / 1.5).square(), dim=0)
    place = torch.arange(length, device=like.device)
    from_start = place - place[: length - SSIM_WINDOW + 1, None]
    inside = (from_start >= 0) & (from_start < SSIM_WINDOW)
    return weights[from_start.clamp(0, SSIM_WINDOW - 1)].where(inside, 0)
