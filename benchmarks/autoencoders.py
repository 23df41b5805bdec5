"""What the autoencoder family reaches on the embedded pictures: noise taken out and holes filled, in PSNR over what was
given, and the probe of the code; each by the commands a user would type.

    python -m benchmarks.autoencoders [key=value of every training ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sslcli.runs.results import percentage, read_results

DENOISING = {
    "Gaussian 0.3": ["method.corruption.gaussian=0.3", "method.corruption.masking=0"],
    "masking 25 %": ["method.corruption.gaussian=0", "method.corruption.masking=0.25"],
    "both": [],
}
ENCODERS = {"mlp": [], "convnet": ["encoder=convnet"]}


def sslcli(outputs: Path, *words: str) -> None:
    command = [sys.executable, "-m", "sslcli", *words, f"runtime.outputs={outputs}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def newest(outputs: Path, name: str) -> Path:
    return max(outputs.rglob(name), key=lambda path: path.stat().st_mtime)


def newest_facts(outputs: Path) -> dict[str, Any]:
    return dict(json.loads(newest(outputs, "run.json").read_text()))


def main(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for noise, settings in DENOISING.items():
            for encoder, choice in ENCODERS.items():
                denoise(
                    Path(folder) / f"{noise}-{encoder}",
                    noise,
                    encoder,
                    [*settings, *choice, *words],
                )
        outputs = Path(folder) / "inpaint"
        sslcli(
            outputs,
            "inpaint",
            "method.masks.kind=centre",
            "method.adversarial=false",
            "num_scored=null",
            *words,
        )
        facts = newest_facts(outputs)
        psnr = {
            name.removeprefix("hole_psnr_"): v
            for name, v in facts["metrics"].items()
            if name.startswith("hole_psnr")
        }
        print(
            f"centre hole, {facts['seconds']:.0f} s: "
            + ", ".join(f"{name} {value:.2f} dB" for name, value in psnr.items())
        )


def denoise(outputs: Path, noise: str, encoder: str, words: list[str]) -> None:
    sslcli(outputs, "pretrain", "method=denoising_autoencoder", *words)
    facts = newest_facts(outputs)
    before, after = (facts["metrics"][f"{which}_psnr"] for which in ("damaged", "restored"))
    sslcli(outputs, "linear-eval", "run=last")
    rows = read_results(newest(outputs, "results.json").parent).rows
    top1 = ", ".join(
        f"{row.name.replace('_', ' ')} {percentage(row.scores['top1'])}" for row in rows
    )
    gain = f"{before:.2f} -> {after:.2f} dB (+{after - before:.2f})"
    print(f"{noise}, {encoder}, {facts['seconds']:.0f} s: {gain}; probe: {top1}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
