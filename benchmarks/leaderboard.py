"""Every method that trains by one word, on one table: `sslcli pretrain method=X`, then the linear probe, kNN and few labels.

    python -m benchmarks.leaderboard [--seeds 3] [--methods simclr byol] [--data data=cifar10] [--words epochs=5]
    python -m benchmarks.leaderboard --show      (only table and picture, of what is finished)

May be stopped and started again: a finished run is never made again, and a begun one is continued. A method's runs of a
seed stand in `outputs/leaderboard/METHOD/seed-N`. The test part is read by evaluations of finished runs alone, once each.
Writes docs/leaderboard.md and, beside it, leaderboard.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.leaderboard_page import write_page
from sslcli.cli.words import split_words
from sslcli.engine.signals import StopRequest, stop_requests
from sslcli.errors import Interrupted, SslcliError
from sslcli.jobs.job_state import failure_of
from sslcli.jobs.process import call
from sslcli.jobs.sweep_folder import identifying_words
from sslcli.methods import METHODS
from sslcli.runs.find import find_runs
from sslcli.runs.folder import read_facts
from sslcli.runs.results import Results, read_results
from sslcli.text import duration, hydra_override

OUTPUTS, PAGE = Path("outputs/leaderboard"), Path("docs/leaderboard.md")
LABELS = (1.0, 0.05, 0.01)
"""The parts of the training pictures' labels that the probe sees."""
TEACHERS = {"distillation": "simclr"}
"""By method, that whose run of the same seed teaches it: it is made first."""
OUTPUT_FILE = "output.txt"
REFUSED = 2
"""The exit status of a command that sslcli refuses."""


@dataclass(frozen=True)
class Entry:
    """One method and seed: its folder holds a run of pretrain, and evaluations of it."""

    method: str
    seed: int
    folder: Path

    def runs(self, command: str) -> list[Path]:
        return [run for run in find_runs(self.folder) if read_facts(run).get("command") == command]

    def pretrained(self) -> Path | None:
        """The run of pretrain, whether it is finished or not."""
        return next(iter(self.runs("pretrain")), None)

    def required_run(self) -> Path:
        """The run of pretrain; raises SslcliError where somebody took it away meanwhile."""
        run = self.pretrained()
        if run is None:
            message = f"{self.folder} holds no run of pretrain any more"
            raise SslcliError(message, "leave the folder as it is, and type the same command again")
        return run

    def evaluation(self, labels: float) -> Path | None:
        """The run of linear-eval that sees so many labels, whether it is finished or not."""
        word = f"labels={labels}"
        return next((run for run in self.runs("linear-eval") if word in overrides(run)), None)

    def trained_facts(self) -> dict[str, object] | None:
        """What run.json says of the pretraining, if that is finished."""
        run = self.pretrained()
        return read_facts(run) if run is not None and is_finished(run) else None

    def results(self) -> dict[float, Results]:
        """What the finished evaluations measured, by labels."""
        found = {labels: self.evaluation(labels) for labels in LABELS}
        return {
            labels: read_results(run) for labels, run in found.items() if run and is_finished(run)
        }

    def holder(self, labels: float) -> Entry | None:
        """The entry of this seed whose evaluation measured raw pixels and this encoder untrained.

        Both are the same for every method with this encoder, so they are measured once.
        """
        beside = sorted(self.folder.parents[1].glob(f"*/{self.folder.name}"))
        for folder in beside:
            other = Entry(folder.parent.name, self.seed, folder)
            evaluation = other.evaluation(labels)
            with_baselines = evaluation is not None and "baselines=false" not in overrides(
                evaluation
            )
            if with_baselines and other.encoder() == self.encoder():
                return other
        return None

    def encoder(self) -> object:
        """The encoder's choice and settings."""
        run = self.required_run()
        config = yaml.safe_load((run / "config.yaml").read_text())
        return read_facts(run)["choices"]["encoder"], config["encoder"]

    def baselines(self) -> dict[float, Results]:
        """What was measured of raw pixels and the untrained encoder, by labels."""
        holders = {labels: self.holder(labels) for labels in LABELS}
        found = {labels: other.results() for labels, other in holders.items() if other is not None}
        return {labels: results[labels] for labels, results in found.items() if labels in results}

    def refusal(self) -> str | None:
        """Why the last run that was started ended without being finished, if it did."""
        output = self.folder / OUTPUT_FILE
        said = output.read_text(errors="replace") if output.exists() else ""
        return failure_of(1, output).partition(": ")[2] if "error: " in said else None


def overrides(run: Path) -> list[str]:
    """The words that a run was typed with."""
    return [str(word) for word in yaml.safe_load((run / "overrides.yaml").read_text())]


def is_finished(run: Path) -> bool:
    return read_facts(run).get("status") == "finished"


def entries(outputs: Path, methods: list[str], num_seeds: int) -> Iterator[Entry]:
    """Seed by seed, so that a table of all methods is there early; teachers before those they teach."""
    needed = [[TEACHERS[method], method] if method in TEACHERS else [method] for method in methods]
    for seed in range(num_seeds):
        for method in dict.fromkeys(name for names in needed for name in names):
            yield Entry(method, seed, outputs / method / f"seed-{seed}")


def words_of(entry: Entry, words: list[str]) -> list[str]:
    """The words that its pretraining is typed with; they name the run that teaches it, if one does."""
    typed = [f"method={entry.method}", f"seed={entry.seed}", *words]
    if entry.method not in TEACHERS:
        return typed
    teacher = TEACHERS[entry.method]
    folder = entry.folder.parents[1] / teacher / entry.folder.name
    run = Entry(teacher, entry.seed, folder).pretrained()
    return typed if run is None else [*typed, hydra_override("method.teacher", str(run.absolute()))]


Stopping = Callable[[], bool]


def brought_to_end(entry: Entry, run: Path | None, words: list[str], stopping: Stopping) -> int:
    """Starts a run by these words, continues the one that was begun, or leaves the finished one."""
    if run is not None and is_finished(run):
        return 0
    entry.folder.mkdir(parents=True, exist_ok=True)
    where = hydra_override("runtime.outputs", str(entry.folder.absolute()))
    started = ["resume", str(run)] if run is not None else [*words, where]
    with (entry.folder / OUTPUT_FILE).open("wb") as output:
        return call(started, stopping, output)


def make(entry: Entry, words: list[str], stopping: Stopping) -> int:
    """Pretrains and evaluates what is not finished yet; returns the exit status of what failed, or 0."""
    typed = words_of(entry, words)
    run = entry.pretrained()
    if run is not None:
        require_same_words(run, typed)
    status = brought_to_end(entry, run, ["pretrain", *typed], stopping)
    if status:
        return status
    run = entry.required_run()
    where_and_how = [word for word in words if word.startswith("runtime.")]
    for labels in LABELS:
        asked = [
            hydra_override("run", str(run.absolute())),
            f"labels={labels}",
            f"seed={entry.seed}",
            f"baselines={str(entry.holder(labels) in (None, entry)).lower()}",
        ]
        before = entry.evaluation(labels)
        status = brought_to_end(entry, before, ["linear-eval", *asked, *where_and_how], stopping)
        if status:
            return status
    return 0


def require_same_words(run: Path, typed: list[str]) -> None:
    """Raises SslcliError where a run that is there was made by other words."""
    asked, _ = split_words(typed)  # as a run records them
    before, now = (sorted(identifying_words(words)) for words in (overrides(run), asked))
    if before != now:
        message = f"{run} was typed with {' '.join(before)}, and these are {' '.join(now)}"
        raise SslcliError(message, "type the same words, or give these a folder: --outputs")


def make_all(found: Iterable[Entry], words: list[str], request: StopRequest) -> None:
    """Makes every entry that is not finished; a method that is refused is tried with one seed.

    Raises Interrupted where a signal asked for it; the run at work has then been stopped.
    """
    refused: set[str] = set()
    for entry in found:
        if entry.method in refused:
            continue
        status = make(entry, words, lambda: request.signal_number is not None)
        if request.signal_number is not None:
            fix = "type the same command again: it goes on"
            raise Interrupted("stopped by a signal", fix, request.signal_number)
        name = f"{entry.method}, seed {entry.seed}"
        if status:
            print(f"{name}: {failure_of(status, entry.folder / OUTPUT_FILE)}", flush=True)
            refused |= {entry.method} if status == REFUSED else set()
        else:
            top1 = entry.results()[1.0].row("trained_encoder").scores["top1"]
            seconds = (entry.trained_facts() or {}).get("processor_seconds", 0.0)
            print(f"{name}: {100 * (top1 or 0):.2f} %, {duration(float(str(seconds)))}", flush=True)


def command_line(given: argparse.Namespace) -> str:
    """The command that makes the table, whatever made it this time."""
    parts = ["python -m benchmarks.leaderboard", f"--seeds {given.seeds}"]
    lists = {"methods": given.methods, "data": given.data, "words": given.words}
    parts += [f"--{name} {' '.join(words)}" for name, words in lists.items() if words]
    parts += [f"--outputs {given.outputs}"] if given.outputs != OUTPUTS else []
    return " ".join(parts)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="0, 1, …: as many runs of each method")
    parser.add_argument("--methods", nargs="+", help="all, unless named", choices=list(METHODS))
    parser.add_argument("--data", nargs="+", default=[], help="words that name other data")
    parser.add_argument("--words", nargs="+", default=[], help="further words of every pretrain")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, help="the folder of all runs")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="the page; its picture is beside it"
    )
    parser.add_argument("--show", action="store_true", help="run nothing")
    given = parser.parse_args(arguments)
    methods = given.methods or list(METHODS)
    try:
        found = list(entries(given.outputs, methods, given.seeds))
        if not given.show:
            with stop_requests() as request:
                make_all(found, [*given.data, *given.words], request)
        write_page(given.page, found, command_line(given))
    except SslcliError as error:
        print(f"error: {error}\nfix:   {error.fix}", file=sys.stderr)
        return error.exit_code
    print(given.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
