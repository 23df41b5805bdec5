"""Measures how well a run's codes compress pictures, beside JPEG and WebP."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sslcli.data.images import ImageSet, evenly_spaced
from sslcli.data.resize import at_resolution
from sslcli.evaluation.quantization import BITS, EXACT, Codes, Quantizer
from sslcli.evaluation.rate import CODECS, RatePoint, at_same_rate, rate_point
from sslcli.method import as_pictures
from sslcli.report.rate import save_rate
from sslcli.trained.code_file import CodeFile, Origin, Picture
from sslcli.trained.coder import Coder

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_RATED, NUM_TRAINING = 256, 5_000
"""Validation pictures that are compressed; training pictures whose codes give the ranges."""
OURS = "codes"


@dataclass(frozen=True)
class Rates:
    """Holds the curve of a run's codes, and of others where these hold such pictures."""

    curves: dict[str, list[RatePoint]]
    protocol: dict[str, str]


def measure_rates(coder: Coder, training: ImageSet, pictures: ImageSet) -> Rates:
    """Compresses some of the pictures; `training` says how far the numbers of codes reach."""
    shape = coder.method.preprocessing
    known, shown = (
        at_resolution(part, shape.resolution).subset(evenly_spaced(len(part), num))
        for part, num in ((training, NUM_TRAINING), (pictures, NUM_RATED))
    )
    images = np.asarray(shown.images[:])
    truth = as_pictures(torch.from_numpy(images))
    reach = coder.encode_images(known.images).flatten(1).numpy()
    codes = coder.encode_images(images).flatten(1).numpy()
    curves = {OURS: [_code_point(coder, codes, reach, truth, bits) for bits in (EXACT, *BITS)]}
    if images.dtype == np.uint8 and images.shape[3] in (1, 3):
        curves |= {name: codec.curve(images, truth) for name, codec in CODECS.items()}
    return Rates(curves, _protocol(coder, len(images), len(known)))


def _code_point(
    coder: Coder, codes: Codes, reach: Codes, truth: torch.Tensor, bits: int
) -> RatePoint:
    quantizer = None if bits == EXACT else Quantizer.of(reach, bits)
    origin = Origin("", "", "", coder.weights(), coder.code_shape, coder.picture_shape)
    side = coder.picture_shape[1]
    names = tuple(Picture(f"{number}.png", side, side) for number in range(len(codes)))
    file = CodeFile(origin, names, codes, quantizer)
    decoded = coder.decode(torch.from_numpy(file.kept()).view(-1, *coder.code_shape))
    return rate_point(f"{bits} bits", decoded, truth, file.code_bytes(), len(file.content()))


def _protocol(coder: Coder, num: int, num_training: int) -> dict[str, str]:
    weights = sum(part.numel() for part in _decoder_weights(coder))
    return {
        "pictures": f"{num} validation pictures at even distances, {coder.picture_shape[1]} px",
        "codes": f"{math.prod(coder.code_shape)} numbers a picture, levels over the range of "
        f"{num_training} training pictures, entropy-coded together; whole file: one of all",
        "others": "Pillow's JPEG and WebP of every picture alone, qualities 1 to 95; bits: the "
        "scan of a JPEG without its tables, a WebP without its RIFF header; whole files: with them",
        "not_counted": f"the network's weights, {4 * weights:,} bytes, which whoever decodes has",
    }


def _decoder_weights(coder: Coder) -> list[torch.Tensor]:
    parts = coder.method.modules()
    return [w for name, part in parts.items() if name != "encoder" for w in part.parameters()]


def write_rates(folder: Path, rates: Rates) -> None:
    """Writes rate.json and rate.png."""
    content: dict[str, Any] = {
        "curves": {name: [asdict(p) for p in curve] for name, curve in rates.curves.items()},
        "protocol": rates.protocol,
    }
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    (folder / "rate.json").write_text(text, encoding="utf-8")
    save_rate(folder / "rate.png", rates.curves, rates.protocol["pictures"].partition(" at")[0])


def print_rates(rates: Rates, console: Console) -> None:
    """Prints each rate of the codes, and what others make of as many bits."""
    others = [name for name in rates.curves if name != OURS]
    columns = ("codes of", "bits a pixel", "PSNR, SSIM", *(f"{name}, as many" for name in others))
    rows = [
        (
            point.setting,
            f"{point.bits:.3g} ({point.file_bits:.3g} with header)",
            _words((point.psnr, math.nan if point.ssim is None else point.ssim)),
            *(_beside(rates.curves[name], point.bits) for name in others),
        )
        for point in rates.curves[OURS]
    ]
    console.table(f"compression of {rates.protocol['pictures']}", columns, rows)


def _beside(curve: Sequence[RatePoint], bits: float) -> str:
    found = at_same_rate(curve, bits)
    if found is not None:
        return _words(found)
    least, most = (end(curve, key=lambda point: point.bits) for end in (min, max))
    word, nearest = ("least", least) if bits < least.bits else ("most", most)
    return f"{nearest.psnr:.2f} dB in {nearest.bits:.3g}, its {word}"


def _words(scores: tuple[float, float]) -> str:
    psnr, ssim = scores
    return f"{psnr:.2f} dB" if math.isnan(ssim) else f"{psnr:.2f} dB, {ssim:.3f}"
