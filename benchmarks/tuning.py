"""Searches a method's preset: a cross-validated linear probe on training and validation pictures, for each set of words.

    python -m benchmarks.tuning "method=swav optim.lr=0.1" "method=swav optim.lr=0.6 epochs=12"
    python -m benchmarks.tuning      (what is finished, the best first; docs/tuning.md is made of it)

Each set of words is `sslcli pretrain` with them, made once, in `outputs/tuning`; a begun run is continued. The probe is
fitted on three quarters of the 10,000 pictures and scored on the fourth, four times, since validation's 1,000 pictures
alone tell nothing finer than a point. The test part is never read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml

from sslcli.engine.signals import stop_requests
from sslcli.evaluation.features import features
from sslcli.evaluation.probe import fit_probe
from sslcli.evaluation.scores import top_k_accuracy
from sslcli.jobs.process import call
from sslcli.runs.find import find_runs
from sslcli.runs.folder import read_facts
from sslcli.text import hydra_override
from sslcli.trained.data import run_data_config
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder

NOT_SHOWN = ("runtime.", "method.teacher=")
OUTPUTS, SCORE = Path("outputs/tuning"), "cross_validated.json"
STRENGTHS, FOLDS = {False: (0.0003, 0.001, 0.003, 0.01), True: (0.003, 0.01, 0.03)}, 4
"""Strengths of the probe's penalty, for features of at most and of more than 512 numbers: the more, the stronger."""


def folder_of(words: list[str]) -> Path:
    return OUTPUTS / hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


def run_in(folder: Path) -> Path | None:
    runs = find_runs(folder) if folder.is_dir() else []
    return next((run for run in runs if read_facts(run).get("command") == "pretrain"), None)


def is_finished(run: Path | None) -> bool:
    return run is not None and read_facts(run).get("status") == "finished"


def measure(words: list[str], threads: int) -> None:
    """Trains and scores what is not finished."""
    folder = folder_of(words)
    folder.mkdir(parents=True, exist_ok=True)
    where = hydra_override("runtime.outputs", str(folder.absolute()))
    run = run_in(folder)
    with stop_requests() as request, (folder / "output.txt").open("ab") as output:
        if run is None:
            typed = ["pretrain", *words, where, f"runtime.threads={threads}"]
            call(typed, lambda: request.signal_number is not None, output)
        elif not is_finished(run):
            call(["resume", str(run)], lambda: request.signal_number is not None, output)
    run = run_in(folder)
    if run is not None and is_finished(run) and not (folder / SCORE).exists():
        torch.set_num_threads(threads)
        (folder / SCORE).write_text(json.dumps(cross_validated(run)))


def cross_validated(run: Path) -> dict[str, float]:
    """The mean accuracy over the folds of each strength of the probe's penalty."""
    files = read_encoder(run)
    splits = run_data_config(files, None).load()
    parts = (splits.train, splits.val)
    encoder = load_trained(files)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device)
    found = torch.cat(
        [features(encoder, part.images, files.preprocessing, device) for part in parts]
    )
    labels = torch.from_numpy(
        np.concatenate([part.labels for part in parts if part.labels is not None])
    ).to(device)
    fold = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)) % FOLDS).to(device)
    accuracies: dict[str, float] = {}
    for l2 in STRENGTHS[found.shape[1] > 512]:
        scores = []
        for held in range(FOLDS):
            rest = fold != held
            probe = fit_probe(found[rest], labels[rest], splits.num_classes, l2)
            scores.append(top_k_accuracy(probe.logits(found[~rest]), labels[~rest]))
        accuracies[f"{l2:g}"] = sum(scores) / FOLDS
    return accuracies


class Row(NamedTuple):
    """One finished set of words."""

    accuracy: float
    device: str
    processor_seconds: float
    words: str


def rows() -> list[Row]:
    """Every finished set, the best first."""
    found = []
    for score in OUTPUTS.glob(f"*/{SCORE}"):
        run = run_in(score.parent)
        assert run is not None, f"{score} without a run"
        typed = yaml.safe_load((run / "overrides.yaml").read_text())
        words = " ".join(word for word in typed if not word.startswith(NOT_SHOWN))
        facts = read_facts(run)
        device = str(facts["environment"]["device"]).removeprefix("NVIDIA ").partition(" ")[0]
        seconds = float(facts.get("processor_seconds", float("nan")))
        found.append(Row(max(json.loads(score.read_text()).values()), device, seconds, words))
    return sorted(found, reverse=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="the words of one pretraining, in one argument")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    for words in given.words:
        measure(words.split(), given.threads)
    for row in rows():
        seconds = f"{row.processor_seconds:5.0f} s"
        print(f"{100 * row.accuracy:6.2f} %  {seconds}  {row.device}  {row.words}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
