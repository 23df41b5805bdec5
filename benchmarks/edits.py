"""How many test pictures edits of codes bring to a class, beside the pixels' mean shift; and how well codes tell an angle.

    python -m benchmarks.edits

Of the embedded sample: a denoising autoencoder whose code has 64 numbers, by `sslcli pretrain`; its edits, by `sslcli
edit --judge`; and the same on pictures turned by a known angle, which `sslcli linear-eval` tells from the code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sslcli.data.sample import FILE

TRAINED = [
    "method=denoising_autoencoder", "method.corruption.gaussian=0.1", "method.corruption.masking=0", "encoder=mlp",
    "encoder.widths=[1000]", "encoder.bottleneck=64", "knn_every=0", "runtime.device=cpu", "runtime.threads=1",
]  # fmt: skip
LARGEST = 45
"""Degrees by which pictures are turned to either side, at most."""


def sslcli(*words: str) -> str:
    command = [sys.executable, "-m", "sslcli", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def turned(folder: Path, kinds: Sequence[int]) -> Path:
    """Writes the sample's pictures of some kinds, each turned by an angle of its own, and the angles as targets."""
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {}
    with np.load(FILE, allow_pickle=False) as sample:
        for part in ("train", "test"):
            pictures = sample[f"x_{part}"][np.isin(sample[f"y_{part}"], kinds)][..., 0]
            angles = rng.uniform(-LARGEST, LARGEST, len(pictures))
            turned = [turn(*pair) for pair in zip(pictures, angles, strict=True)]
            parts[f"x_{part}"], parts[f"y_{part}"] = np.stack(turned), angles
    folder.mkdir()
    np.savez(folder / "turned.npz", **parts)
    return folder / "turned.npz"


def turn(picture: Any, angle: float) -> Any:
    return np.asarray(Image.fromarray(picture).rotate(angle, Image.Resampling.BICUBIC))[..., None]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sslcli("pretrain", *TRAINED, "epochs=60", f"runtime.outputs={folder}/edits")
        print(sslcli("edit", "last", "--judge", "--device", "cpu", "--outputs", f"{folder}/edits"))
        (path,) = folder.rglob("judged.json")
        print("way                 strength  become it  SSIM")
        for point in json.loads(path.read_text())["points"]:
            shares = f"{100 * point['target']:8.1f} %  {point['ssim']:.3f}"
            print(f"{point['way']:18}  {point['strength']:8}  {shares}")
        for name, kinds, epochs in (("all kinds", range(10), 60), ("ankle boots", [9], 200)):
            there = folder / name
            data = ["data=arrays", f"data.root={turned(there, kinds)}", f"epochs={epochs}"]
            outputs = [f"runtime.outputs={there}", "runtime.device=cpu", "runtime.threads=1"]
            sslcli("pretrain", *TRAINED, *data, outputs[0])
            print(f"\nturned, {name}\n" + sslcli("linear-eval", "run=last", *outputs))


if __name__ == "__main__":
    main()
