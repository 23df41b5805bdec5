"""What codes of 8 to 64 numbers a picture keep of it, in how many bits, by kind of autoencoder; beside JPEG and WebP.

    python -m benchmarks.codes [key=value of every training ...]

Of the embedded sample: trained by `sslcli pretrain`, measured on validation pictures by `sslcli diagnose`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

WIDTHS = (8, 16, 32, 64)
PLAIN = ["method.corruption.gaussian=0", "method.corruption.masking=0"]
SHARED = [
    "method=denoising_autoencoder", "encoder=mlp", "epochs=15", "knn_every=0", "runtime.device=cpu", "runtime.threads=1",
]  # fmt: skip
LINEAR = ["encoder.widths=[500]", "encoder.bottleneck={width}"]
SIGMOID = [
    "encoder.widths=[500,{width}]",
    "encoder.activation=sigmoid",
    "encoder.batch_norm=false",
]
KINDS = {
    "plain": [*PLAIN, *LINEAR],
    "denoising": LINEAR,
    "variational, kl=1": [*PLAIN, *LINEAR, "method.kl=1"],
    "contractive, 0.1": [*PLAIN, *LINEAR, "method.contractive=0.1"],
    "sigmoid": [*PLAIN, *SIGMOID],
    "sigmoid, sparse=3": [*PLAIN, *SIGMOID, "method.sparse=3", "method.sparse_mean=0.2"],
}


def sslcli(*words: str) -> None:
    command = [sys.executable, "-m", "sslcli", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rates(outputs: Path, words: list[str]) -> dict[str, list[dict[str, Any]]]:
    sslcli("pretrain", *words, f"runtime.outputs={outputs}")
    sslcli("diagnose", "last", "--device", "cpu", "--outputs", str(outputs))
    (path,) = outputs.rglob("rate.json")
    curves: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["curves"]
    return curves


def bits_for(curve: list[dict[str, Any]], psnr: float) -> str:
    """Returns the bits a pixel that a codec needs for a PSNR, between its two nearest qualities."""
    points = sorted((point["psnr"], point["bits"]) for point in curve)
    for (low, fewer), (high, more) in pairwise(points):
        if low <= psnr <= high:
            return f"{fewer + (more - fewer) * (psnr - low) / (high - low):.2f}"
    return f"(least {points[0][1]:.2f}: {points[0][0]:.2f} dB)"


def main(words: list[str]) -> None:
    print(
        "| codes | numbers | PSNR, 32 bits | 8 bits | 6 | 4 | SSIM, 8 bits | bits a pixel, 8 | 6 | 4 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    others: dict[str, list[dict[str, Any]]] = {}
    reached: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, settings in KINDS.items():
            for width in WIDTHS:
                chosen = [word.format(width=width) for word in settings]
                curves = rates(Path(folder) / f"{kind}-{width}", [*SHARED, *chosen, *words])
                by_bits = {point["setting"]: point for point in curves.pop("codes")}
                others, few = curves, [by_bits[f"{bits} bits"] for bits in (8, 6, 4)]
                reached.append(few[0]["psnr"])
                cells = [kind, str(width), f"{by_bits['32 bits']['psnr']:.2f} dB"]
                cells += [f"{point['psnr']:.2f}" for point in few]
                cells += [f"{few[0]['ssim']:.3f}", *(f"{point['bits']:.3f}" for point in few)]
                print(f"| {' | '.join(cells)} |", flush=True)
    for name, curve in others.items():
        for psnr in (min(reached), max(reached)):
            print(f"{name} needs for {psnr:.2f} dB: {bits_for(curve, psnr)} bits a pixel")
        for point in curve:
            print(
                f"{name} {point['setting']}: {point['bits']:.3f} bits a pixel "
                f"({point['file_bits']:.3f} of whole files), {point['psnr']:.2f} dB, SSIM {point['ssim']:.3f}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
