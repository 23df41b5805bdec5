"""The table of commands. Importing it imports none of them, so that `sslcli --help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Experiment:
    """A command whose typed config is composed from `key=value` words: `conf/<name>.yaml`, and in its module
    `Config` (the dataclass), `settle(config)` (with `last` and the like made definite), `label(config, choices)` (a part of
    the run folder's path) and `run(config, run, console)`, which begins, or goes on, and leaves the run finished."""

    module: str
    summary: str
    by_processes: bool = False
    """Whether several processes can do it together (torchrun, srun)."""

    def load(self) -> Any:
        return import_module(f"sslcli.commands.{self.module}")


@dataclass(frozen=True)
class Tool:
    """A command that works on runs, with ordinary arguments: its module has `main(arguments, console) -> exit status`."""

    module: str
    summary: str

    def load(self) -> Any:
        return import_module(f"sslcli.commands.{self.module}")


EXPERIMENTS: dict[str, Experiment] = {
    "pretrain": Experiment("pretrain", "train an encoder without labels", by_processes=True),
    "inpaint": Experiment(
        "inpaint", "train a context encoder to fill holes, and score it on test pictures", by_processes=True
    ),
    "stack-pretrain": Experiment(
        "stack_pretrain", "train a deep network layer by layer, fine-tune it, and compare with less pretraining"
    ),
    "finetune": Experiment(
        "finetune",
        "train a run's encoder and a classifier on few labels or all; or the same network from random weights",
    ),
    "label-curve": Experiment(
        "label_curve",
        "accuracy by number of labels: probed, fine-tuned, from scratch, raw pixels; several runs side by side",
    ),
    "linear-eval": Experiment(
        "linear_eval", "measure a run's encoder: linear probe and kNN, beside raw pixels and no training"
    ),
}

TOOLS: dict[str, Tool] = {
    "resume": Tool("resume", "go on with a run that was interrupted, bit for bit"),
    "rerun": Tool("rerun", "run a saved config again and say whether the result is identical"),
    "restore": Tool("restore", "fill holes in your own pictures, or take the noise out, with a trained run"),
    "diagnose": Tool("diagnose", "say what a run's features are like, without labels, and whether they collapsed"),
    "embed": Tool("embed", "write a run's features, a map of them to look at, and nearest neighbours"),
    "export": Tool("export", "write a run's encoder for other programs, checked, with a model card"),
    "report": Tool("report", "write one HTML page of a run, or of all runs of a sweep or a folder"),
    "compare": Tool("compare", "say in which settings runs differ and what each measured, and plot their curves"),
    "runs": Tool("runs", "list the runs, newest first"),
    "list": Tool("list_choices", "list methods, data, encoders, experiments, …"),
    "completion": Tool("completion", "print the shell completion for bash, zsh or fish"),
}
