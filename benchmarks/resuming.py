"""Kills runs of four kinds with SIGKILL at random moments, resumes them, and compares records, metrics and weights with those
of runs that nothing happened to.

python -m benchmarks.resuming [--kills 5] [--seed 0]        5 of each kind
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COMMON = ["log_every=1", "runtime.threads=1"]
RUNS = {
    "SimCLR": ["pretrain", "data.limit=512", "epochs=6", "encoder.width=8", "save_every=0.5", "knn_every=2"],
    "denoising": [
        "pretrain", "method=denoising_autoencoder", "data.limit=512", "epochs=8", "encoder.widths=[64]",
        "save_every=0.5",
    ],
    "inpaint": [
        "inpaint", "data.limit=128", "batch_size=32", "epochs=6", "encoder.width=8", "method.bottleneck=32",
        "method.discriminator_width=8", "num_scored=8", "save_every=0.5",
    ],
    "stack": [
        "stack-pretrain", "data.limit=256", "encoder.widths=[32,16]", "epochs=[3]", "finetune.epochs=3",
        "compare=[autoencoder,denoising]", "save_every=1",
    ],
}  # fmt: skip


def begin(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sslcli", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def begun(words: list[str], outputs: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A process that works on a run, and the run's folder, as soon as it trains."""
    process = begin(words[0], *COMMON, *words[1:], f"runtime.outputs={outputs}")
    while process.poll() is None and not list(outputs.rglob("metrics.jsonl")):
        time.sleep(0.005)
    (found,) = outputs.rglob("metrics.jsonl")
    return process, found.parent


def outcome(run: Path) -> dict[str, Any]:
    """Everything that the run ended with, but for what the clock wrote."""
    facts = json.loads((run / "run.json").read_text())
    lines = (run / "metrics.jsonl").read_text().splitlines()
    records = [
        {key: value for key, value in json.loads(line).items() if key != "timing"} for line in lines
    ]
    weights = (run / "encoder.safetensors").read_bytes()
    return {
        "status": facts["status"],
        "metrics": facts["metrics"],
        "records": records,
        "weights": weights,
    }


def differences(found: Path, expected: Path) -> list[str]:
    """What a run ended with that another did not: which records, which fields, both values."""
    (one, other), said = (outcome(found), outcome(expected)), []
    for part in ("status", "metrics"):
        if one[part] != other[part]:
            said += fields_apart(part, as_fields(one[part], part), as_fields(other[part], part))
    for record, wanted in zip(one["records"], other["records"], strict=False):
        said += fields_apart(f"record of step {wanted.get('step')}", record, wanted)
    if len(one["records"]) != len(other["records"]):
        said.append(f"{len(one['records'])} records in place of {len(other['records'])}")
    if one["weights"] != other["weights"]:
        said.append("the encoder's bytes")
    return said


def as_fields(value: Any, name: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else {name: value}


def fields_apart(where: str, found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return [
        f"{where}: {key} {found.get(key)!r} in place of {expected.get(key)!r}"
        for key in {**expected, **found}
        if found.get(key) != expected.get(key)
    ]


def in_few_words(said: list[str], most: int = 6) -> str:
    """The first few differences, and how many more there are."""
    more = [f"and {len(said) - most} more"] if len(said) > most else []
    return "; ".join([*said[:most], *more]) or "identical"


def num_records(run: Path) -> int:
    return (run / "metrics.jsonl").read_bytes().count(b"\n")


def killed(words: list[str], folder: Path, most: int, chance: random.Random) -> tuple[Path, str]:
    """A run that was killed at a random moment, and when: by its records, `most` in all, whose pace the machine's load cannot
    move, and a fraction of a second more. A run that had finished does not count."""
    for attempt in range(10):
        process, run = begun(words, folder / str(attempt))
        moment = chance.randrange(most)
        while process.poll() is None and num_records(run) < moment:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        in_time = process.wait() == -signal.SIGKILL
        facts = json.loads((run / "run.json").read_text())
        if in_time and facts["status"] != "finished":
            return (
                run,
                f"after {num_records(run)} of {most} records, saved step {facts.get('step', 0)}",
            )
    raise AssertionError("ten runs ended before they were killed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=5, help="of each kind of run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    chance, same = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory() as made:
        for name, words in RUNS.items():
            process, expected = begun(words, Path(made) / name / "whole")
            assert process.wait() == 0, f"{name} failed"
            most = num_records(expected)
            for number in range(given.kills):
                run, when = killed(words, Path(made) / name / str(number), most, chance)
                status = begin("resume", str(run)).wait()
                said = [f"exit status {status}"] if status else differences(run, expected)
                same += not said
                print(f"  {name}, killed {when}: {in_few_words(said)}", flush=True)
    total = given.kills * len(RUNS)
    print(
        f"kill -9 at a random moment, resume: records, metrics and weights byte-identical in {same} of {total}"
    )
    sys.exit(same != total)


if __name__ == "__main__":
    main()
