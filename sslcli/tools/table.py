"""Lists the tools without importing them, so that `sslcli --help` answers at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Compose = Callable[[str, list[str]], list[tuple[str, Any]]]
"""Maps a command and its `key=value` words to configs, one for each combination of values `a,b`.

Each comes with its own words where there are several, else with "".
"""


@dataclass(frozen=True)
class Tool:
    """Describes a command that reads runs and takes ordinary arguments.

    Its module has `main(arguments, console)`, which returns the exit status. Where it `composes`,
    it takes `key=value` words of a command too, and is `main(arguments, console, compose)`.
    `work`: a module of it that imports torch, for `load_work`. `commands`: those of which one
    stands before the `key=value` words; pretrain's are meant where there are none.
    """

    module: str
    summary: str
    composes: bool = False
    work: str = ""
    commands: tuple[str, ...] = ()

    def load(self) -> Any:
        """Imports and returns the tool's module."""
        return import_module(f"sslcli.tools.{self.module}")

    def load_work(self) -> Any:
        """Imports and returns the module that does the work, with torch."""
        return import_module(f"sslcli.tools.{self.work}")


TOOLS: dict[str, Tool] = {
    "plan": Tool(
        "plan.main",
        "say what a run will take: steps, memory, work, disk",
        composes=True,
        work="plan.report",
        commands=("pretrain", "inpaint", "finetune", "stack-pretrain", "linear-eval"),
    ),
    "resume": Tool("resume", "continue a run that was interrupted, bit for bit"),
    "rerun": Tool("rerun", "run a saved config again and say whether the result is identical"),
    "restore": Tool(
        "restore.main",
        "fill holes in your own pictures, or remove noise, with a trained run",
    ),
    "encode": Tool(
        "codes.encode", "write your own pictures as a trained run's codes, in few bytes"
    ),
    "decode": Tool("codes.decode", "make pictures of the codes that `encode` wrote"),
    "edit": Tool(
        "edit.main",
        "change your own pictures through a trained run's codes: towards a class, …",
    ),
    "diagnose": Tool(
        "diagnose.main",
        "say what a run's features are like, without labels, and whether they collapsed",
    ),
    "embed": Tool("embed.main", "write a run's features, a map of them, and nearest neighbours"),
    "export": Tool(
        "export.main", "write a run's encoder for other programs, checked, with a model card"
    ),
    "report": Tool(
        "report.main", "write one HTML page of a run, or of all runs of a sweep or folder"
    ),
    "watch": Tool(
        "watch.main", "show a run's curves, pictures and alarms while it trains, or on a local page"
    ),
    "compare": Tool(
        "compare", "say in which settings runs differ and what each measured, and plot their curves"
    ),
    "views": Tool(
        "views.main", "draw what a method's views are like, without training", composes=True
    ),
    "runs": Tool("runs", "list the runs, newest first"),
    "inspect": Tool(
        "inspect.main",
        "say what your pictures are like and what to mend, before training",
        composes=True,
    ),
    "new": Tool("new.main", "write a package with a method of your own to begin with"),
    "track": Tool("track", "give a run's records to a tracker that has not got them yet"),
    "list": Tool("list", "list methods, data, encoders, experiments, …"),
    "completion": Tool("completion", "print the shell completion for bash, zsh or fish"),
}
