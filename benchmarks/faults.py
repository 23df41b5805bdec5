"""Harms commands that write, in every way that a machine does, and compares what is resumed with a whole run.

python -m benchmarks.faults [--kills 8] [--seed 0] [--only pretrain]

Each of eight commands is killed with SIGKILL before traced operations (a write made durable, a rename,
a link, a removal) and at random times; it is told that the disk is full before each kind of operation;
it runs with few file descriptors, with little address space, and in a folder that cannot be written.
After a kill and a resume every record, metric and weight is to be that of the whole run, and no file is
to be there that the whole run does not have. After a refusal there are to be two lines, and everything
that was there before.
"""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra

from sslcli.cli.main import main

SMALL = ["data.limit=64", "batch_size=16", "encoder.width=4", "runtime.threads=1", "log_every=1"]
TRAINING = ["training.epochs=2", "training.steps=8", "training.batch_size=8", "runtime.threads=1"]
SOURCE = ["pretrain", *SMALL, "epochs=1", "knn_every=0"]
EXPERIMENTS = {
    "pretrain": ["pretrain", *SMALL, "epochs=3", "save_every=0.5", "knn_every=2"],
    "inpaint": [
        "inpaint", *SMALL, "epochs=2", "method.bottleneck=16", "method.discriminator_width=4", "num_scored=4",
        "knn_every=0",
    ],
    "stack-pretrain": [
        "stack-pretrain", "data.limit=64", "encoder.widths=[16,8]", "epochs=[1]", "finetune.epochs=2",
        "runtime.threads=1", "batch_size=16", "finetune.batch_size=16",
    ],
    "finetune": ["finetune", "run=SOURCE", *TRAINING, "labels=2", "save_every=0.5"],
    "label-curve": ["label-curve", "run=SOURCE", *TRAINING, "labels=[2]", "subsets=1", "l2=[1e-2]"],
    "linear-eval": ["linear-eval", "run=SOURCE", "labels=2", "l2=[1e-2]", "runtime.threads=1"],
}  # fmt: skip
TOOLS = {
    "export": ["export", "SOURCE", "--to", "safetensors", "--force"],
    "diagnose": ["diagnose", "SOURCE", "--device", "cpu"],
}
TRACED = (
    (os, "fsync"),
    (os, "link"),
    (os, "replace"),
    (Path, "replace"),
    (Path, "unlink"),
    (Path, "mkdir"),
)


class Outcome:
    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, said

    @property
    def is_two_lines(self) -> bool:
        lines = [line for line in self.said.splitlines() if line.startswith(("error: ", "fix: "))]
        return len(lines) == 2 and "Traceback" not in self.said


def forked(words: list[str], arrange: Callable[[], None] = lambda: None) -> Outcome:
    """Runs a command line in a process of its own, after `arrange` was called in it."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            status = 99
            try:
                GlobalHydra.instance().clear()
                with redirect_stdout(io.StringIO()), redirect_stderr(said):
                    arrange()
                    main(words)
            except SystemExit as left:
                status = int(left.code or 0)
            except BaseException as reason:
                said.write(f"Traceback: {reason!r}\n")
            finally:
                said.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return Outcome(status, said.read())


def traced(strike: Callable[[int], None]) -> Callable[[], None]:
    """Calls `strike` with the number of every traced operation, before it is done."""

    def arrange() -> None:
        count = 0
        for owner, name in TRACED:
            real = getattr(owner, name)

            def counting(*given: Any, _real: Any = real, **named: Any) -> Any:
                nonlocal count
                count += 1
                strike(count)
                return _real(*given, **named)

            setattr(owner, name, counting)

    return arrange


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def result(folder: Path) -> dict[str, Any]:
    """Everything that a run or a tool left, but for what the clock wrote."""
    left: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            continue
        left[name] = None
        if path.name == "metrics.jsonl":
            records = [json.loads(line) for line in path.read_text().splitlines()]
            left[name] = [{k: v for k, v in record.items() if k != "timing"} for record in records]
        elif path.suffix == ".safetensors":
            left[name] = path.read_bytes()
        elif path.name == "run.json":
            facts = json.loads(path.read_text())
            left[name] = (facts["status"], facts.get("metrics"))
        elif path.name in ("results.json", "encoder.json"):
            left[name] = without_seconds(json.loads(path.read_text()))
    return left


def without_seconds(content: Any) -> Any:
    if isinstance(content, dict):
        return {k: without_seconds(v) for k, v in content.items() if k not in ("seconds", "timing")}
    return [without_seconds(value) for value in content] if isinstance(content, list) else content


def only_run(outputs: Path) -> Path | None:
    found = [path.parent for path in outputs.rglob("run.json")]
    return found[0] if found else None


class Campaign:
    def __init__(self, folder: Path, name: str, words: list[str], source: Path) -> None:
        self.folder, self.name, self.source = folder, name, source
        self.is_tool = name in TOOLS
        self.words = [word.replace("SOURCE", str(source)) for word in words]
        self.expected: dict[str, Any] = {}
        self.operations = 0
        self.seconds = 0.0

    def begin(self, number: int) -> tuple[list[str], Path]:
        """A folder of its own, and the command that works in it."""
        place = self.folder / f"{self.name}-{number}"
        if self.is_tool:
            shutil.copytree(self.source, place)
            return [word.replace(str(self.source), str(place)) for word in self.words], place
        return [*self.words, f"runtime.outputs={place}"], place

    def whole(self) -> None:
        words, place = self.begin(0)
        counted = self.folder / f"{self.name}.count"

        def note(number: int) -> None:
            counted.write_text(str(number))

        began = time.monotonic()
        outcome = forked(words, traced(note))
        self.seconds = time.monotonic() - began
        assert outcome.status == 0, outcome.said
        self.operations = int(counted.read_text())
        self.expected = result(self.run_in(place) or place)

    def run_in(self, place: Path) -> Path | None:
        return place if self.is_tool else only_run(place)

    def goes_on(self, words: list[str], place: Path) -> Outcome:
        run = self.run_in(place)
        if self.is_tool or run is None or not (run / "config.yaml").exists():
            return forked(words)
        status = json.loads((run / "run.json").read_text())["status"]
        return Outcome(0, "") if status == "finished" else forked(["resume", str(run)])

    def judge(self, place: Path, outcome: Outcome) -> list[str]:
        """What is not as it is after a whole run."""
        if outcome.status != 0:
            return [f"cannot go on: {outcome.said.strip().splitlines()[-2:]}"]
        found = result(self.run_in(place) or place)
        wrong = [
            f"{name} differs"
            for name in self.expected
            if name in found and found[name] != self.expected[name]
        ]
        wrong += [f"{name} is missing" for name in self.expected.keys() - found.keys()]
        # Every call may have had to begin once more: then there are two run folders, of which one is empty.
        return wrong + [f"{name} was left behind" for name in found.keys() - self.expected.keys()]

    def kill(self, number: int, rng: random.Random) -> list[str]:
        words, place = self.begin(number)
        if number % 2:
            moment = rng.randint(1, self.operations)

            def strike(done: int) -> None:
                if done == moment:
                    die()

            how, outcome = f"before operation {moment}", forked(words, traced(strike))
        else:
            after = rng.uniform(0.05, self.seconds)

            def arrange() -> None:
                signal.signal(signal.SIGALRM, die)
                signal.setitimer(signal.ITIMER_REAL, after)

            how, outcome = f"after {after:.2f} s", forked(words, arrange)
        if outcome.status not in (-signal.SIGKILL, 0):
            return [f"{how}: ended with {outcome.status}: {outcome.said}"]
        return [f"{how}: {wrong}" for wrong in self.judge(place, self.goes_on(words, place))]

    def refuse(self, number: int, how: str, arrange: Callable[[], None]) -> list[str]:
        """A refusal must be two lines, and what it leaves must go on to what a whole run leaves."""
        words, place = self.begin(number)
        outcome = forked(words, arrange)
        if outcome.status == 0:
            return [f"{how}: {wrong}" for wrong in self.judge(place, outcome)]
        if not outcome.is_two_lines:
            return [f"{how}: no two lines: {outcome.said.strip()[-300:]}"]
        return [f"{how}: {wrong}" for wrong in self.judge(place, self.goes_on(words, place))]


def failing(at: int, number: int) -> Callable[[], None]:
    def strike(done: int) -> None:
        if done == at:
            raise OSError(number, os.strerror(number), "a file")

    return traced(strike)


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))


def little_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 40 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run_campaign(campaign: Campaign, kills: int, rng: random.Random) -> tuple[int, list[str]]:
    campaign.whole()
    wrong: list[str] = []
    for number in range(1, kills + 1):
        wrong += campaign.kill(number, rng)
    some = sorted(rng.sample(range(1, campaign.operations + 1), min(3, campaign.operations)))
    for index, at in enumerate(some):
        for kind, code in ((0, errno.ENOSPC), (1, errno.EROFS)):
            how = f"{os.strerror(code)} at operation {at}"
            wrong += campaign.refuse(1000 + 10 * index + kind, how, failing(at, code))
    wrong += campaign.refuse(2000, "24 file descriptors", few_files)
    wrong += campaign.refuse(2001, "40 MiB more memory", little_memory)
    return campaign.operations, wrong


def measure() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=8, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one command")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    failures = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        folder = Path(place)
        os.chdir(folder)
        # In this process: what is imported now, those forked later need not import.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
            main([*SOURCE, f"runtime.outputs={folder / 'source'}"])
        source = only_run(folder / "source")
        assert source is not None
        for name, words in {**EXPERIMENTS, **TOOLS}.items():
            if given.only in (None, name):
                rng = random.Random(f"{given.seed} {name}")
                campaign = Campaign(folder, name, words, source)
                operations, wrong = run_campaign(campaign, given.kills, rng)
                failures += len(wrong)
                print(
                    f"{name:<15} {given.kills} kills, {operations} operations: {len(wrong)} wrong",
                    flush=True,
                )
                for line in wrong:
                    print(f"    {line}", flush=True)
    print(f"{failures} of all that was tried went wrong")
    sys.exit(failures > 0)


if __name__ == "__main__":
    measure()
