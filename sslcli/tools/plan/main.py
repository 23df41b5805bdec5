"""`sslcli plan COMMAND key=value …` says what a run will take, and trains nothing.

Steps, memory, work, bytes between processes and on disk: all are counted without a value being
computed. --measure also takes ten real steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sslcli.errors import SslcliError
from sslcli.experiments.table import EXPERIMENTS
from sslcli.tools.arguments import parse
from sslcli.tools.plan.machine import Machine
from sslcli.tools.table import TOOLS, Compose

if TYPE_CHECKING:
    from sslcli.console import Console

PLANNED = TOOLS["plan"].commands


def main(arguments: list[str], console: Console, compose: Compose) -> int:
    """Prints the plan of the command that `arguments` begin with; of each value of a=b,c one."""
    flags, words = _split(arguments)
    given = parse(_parser(), flags)
    if given.command not in PLANNED:
        raise SslcliError(
            f"{given.command} has no plan", f"commands that have one: {', '.join(PLANNED)}"
        )
    machine = Machine.of(given.memory, given.device_tflops, given.processes)
    if machine.processes > 1 and not EXPERIMENTS[given.command].by_processes:
        message = f"{given.command} trains in one process, got --processes {machine.processes}"
        raise SslcliError(message, "leave it out")
    configs = compose(given.command, words)
    work = TOOLS["plan"].load_work()
    for name, config in configs:
        if name:
            console.say(f"{name}:")
        work.report(given.command, config, machine, given.measure, console)
    return 0


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the plan's own arguments, and the words of the command that is planned."""
    words = [word for word in arguments if "=" in word and not word.startswith("-")]
    return [word for word in arguments if word not in words], words


def _parser() -> argparse.ArgumentParser:
    usage = (
        f"sslcli plan {'|'.join(PLANNED)} [key=value ...] [--memory SIZE] [--processes N] "
        "[--device-tflops T] [--measure]"
    )
    parser = argparse.ArgumentParser(prog="sslcli plan", usage=usage, description=__doc__)
    parser.add_argument("command", help="the command that is planned; its key=value follow")
    parser.add_argument(
        "--memory", metavar="SIZE", help="of the device, as in 24GB: what would fit into it?"
    )
    parser.add_argument(
        "--processes", metavar="N", default="1", help="that train together (torchrun, srun)"
    )
    parser.add_argument(
        "--device-tflops",
        metavar="T",
        help="of a GPU that is not here, in 1e12 operations a second: the least time there",
    )
    parser.add_argument(
        "--measure", action="store_true", help="take ten real steps here: images/s, and hours"
    )
    return parser
