"""Runs the command that the arguments name, as the entry point of sslcli.

Imports no torch, and hydra only where a config is composed.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from sslcli.cli.guard import guarded
from sslcli.errors import SslcliError, unknown
from sslcli.experiments.table import EXPERIMENTS
from sslcli.processes import launched_as
from sslcli.tools.table import TOOLS

USAGE = """\
sslcli: self-supervised learning on images, from the command line

usage: sslcli <command> [key=value ...] [flags]

experiments
{experiments}

tools
{tools}

  sslcli <command> --help          every group, choice and key of a command
  sslcli pretrain -m seed=0,1,2    one run for every value (a sweep)
  sslcli pretrain --cfg job        the composed config, without running
  debug=true                       tracebacks of errors
"""


def main(argv: list[str] | None = None) -> None:
    """Runs `sslcli` with `argv`, by default the process's, and exits with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "debug=true" in arguments
    arguments = [word for word in arguments if word not in ("debug=true", "debug=false")]
    _open_streams()
    sys.exit(guarded(lambda: dispatch(arguments, debug), debug))


def _open_streams() -> None:
    """Lets anything be printed: nowhere, where the shell closed a stream (`>&-`).

    What the stream's encoding lacks, such as ± in ASCII, is escaped.
    """
    # Opened also so that no file of a run gets the number of a closed one.
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def dispatch(arguments: list[str], debug: bool) -> int:
    """Runs the command that the arguments name; returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"sslcli {version('sslcli')}")
        return 0
    name, *rest = arguments
    if arguments[:2] == ["completion", "query"]:  # the shell runs this at every Tab
        from sslcli.cli.help import completions

        print("\n".join(completions(" ".join(arguments[2:]))))
        return 0
    if name in TOOLS:
        from sslcli.console import Console

        if launched_as().size > 1 and name != "resume":
            message = (
                f"{launched_as().size} processes were started together, and {name} is done by one"
            )
            raise SslcliError(message, f"start it without torchrun or srun: sslcli {name} …")
        tool = TOOLS[name]
        if not tool.composes:
            return int(tool.load().main(rest, Console()))
        from sslcli.cli.experiment import composer

        return int(tool.load().main(rest, Console(), composer(debug)))
    if name in EXPERIMENTS:
        from sslcli.cli.experiment import run_experiment

        return run_experiment(name, rest, debug)
    raise unknown("command", name, [*EXPERIMENTS, *TOOLS])


def usage() -> str:
    """Returns the text of `sslcli --help`."""

    def lines(table: dict[str, Any]) -> str:
        return "\n".join(f"  {name:<14} {command.summary}" for name, command in table.items())

    return USAGE.format(experiments=lines(EXPERIMENTS), tools=lines(TOOLS))
