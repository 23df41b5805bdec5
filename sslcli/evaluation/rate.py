"""Measures how near pictures come that were compressed, by the bits that they take.

Images are (N, H, W, C) uint8, C 1 or 3.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sslcli.evaluation.restoration import restoration_scores

QUALITIES = (1, 3, 5, 10, 15, 20, 30, 40, 50, 60, 75, 90, 95)
"""Of JPEG and WebP."""
RIFF = 20
"""Bytes of a WebP before its bit stream: RIFF's header and that of the chunk."""


@dataclass(frozen=True)
class RatePoint:
    """Holds the quality at one setting: mean PSNR in dB, mean SSIM where pictures have one.

    `bits`: of the coded pictures alone, a pixel; `file_bits`: of whole files, with their headers.
    """

    setting: str
    bits: float
    file_bits: float
    psnr: float
    ssim: float | None


def rate_point(
    setting: str, decoded: Tensor, truth: Tensor, num_bytes: int, file_bytes: int
) -> RatePoint:
    """Returns the point of pictures (N, C, H, W) in [0, 1] that took so many bytes in all."""
    everywhere = torch.ones_like(truth[:, :1], dtype=torch.bool)
    scores = restoration_scores(decoded, truth, everywhere)
    num, _, height, width = truth.shape
    bits, file_bits = (8 * count / (num * height * width) for count in (num_bytes, file_bytes))
    return RatePoint(setting, bits, file_bits, scores["psnr"], scores.get("ssim"))


Encode = Callable[[Image.Image, int], bytes]


@dataclass(frozen=True)
class Codec:
    """Compresses pictures one by one; `header` tells how many of a file's bytes hold no pixel."""

    encode: Encode
    header: Callable[[bytes], int]

    def curve(self, images: NDArray[np.uint8], truth: Tensor) -> list[RatePoint]:
        """Returns a point for every quality, of images, which are `truth` (N, C, H, W)."""
        return [self._point(images, truth, quality) for quality in QUALITIES]

    def _point(self, images: NDArray[np.uint8], truth: Tensor, quality: int) -> RatePoint:
        pixels: list[NDArray[Any]] = []
        coded = whole = 0
        for image in images:
            picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
            content = self.encode(picture, quality)
            with Image.open(io.BytesIO(content)) as opened:
                pixels.append(np.asarray(opened.convert(picture.mode)).reshape(image.shape))
            coded += len(content) - self.header(content)
            whole += len(content)
        decoded = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
        return rate_point(f"quality {quality}", decoded, truth, coded, whole)


def _encoded(picture: Image.Image, quality: int, kind: str) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, quality=quality)
    return content.getvalue()


def jpeg_header(content: bytes) -> int:
    """Returns the bytes of a JPEG around its scan: tables, which pictures could share, and marks.

    Raises ValueError where it has not just one scan.
    """
    at, scans = 2, []
    while content[at + 1] != 0xD9:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        at += 2 + length
        if marker == 0xDA:
            start = at
            while content[at] != 0xFF or content[at + 1] in (0, *range(0xD0, 0xD8)):
                at += 1
            scans.append(at - start)
    if len(scans) != 1:
        raise ValueError(f"a JPEG of {len(scans)} scans")
    return len(content) - scans[0]


CODECS = {
    "JPEG": Codec(partial(_encoded, kind="JPEG"), jpeg_header),
    "WebP": Codec(partial(_encoded, kind="WEBP"), lambda content: RIFF),
}


def at_same_rate(curve: Sequence[RatePoint], bits: float) -> tuple[float, float] | None:
    """Returns PSNR and SSIM of a codec at so many bits a pixel, between its two nearest points.

    None where it takes more bits at its worst, or fewer at its best; SSIM is NaN where there is
    none.
    """
    points = sorted(curve, key=lambda point: point.bits)
    rates = [point.bits for point in points]
    if not rates[0] <= bits <= rates[-1]:
        return None
    similar = [float("nan") if point.ssim is None else point.ssim for point in points]
    psnrs = [point.psnr for point in points]
    return float(np.interp(bits, rates, psnrs)), float(np.interp(bits, rates, similar))
