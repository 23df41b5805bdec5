"""`sslcli watch` shows the curves, pictures and alarms of a run while it trains.

On a terminal, or with --web on a page for browsers of this machine. It writes nothing, and a run
does not notice it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.runs.find import resolve_run
from sslcli.runs.summary import summaries
from sslcli.text import printable, shell_path
from sslcli.tools.arguments import add_outputs, parse
from sslcli.tools.watch.follow import follow_on_page, follow_on_terminal, follow_running

if TYPE_CHECKING:
    from sslcli.console import Console

EXAMPLES = """\
examples
  sslcli watch                  every run that is running now
  sslcli watch last --web       a page that follows the newest run

exit status: 0 where the named run finished, 1 where it ended otherwise
"""


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    if given.port is not None and not given.web:
        raise SslcliError(
            f"--port {given.port} belongs to a page", "add --web, or leave --port out"
        )
    outputs = expanded(given.outputs)
    folders = _running(outputs) if given.run is None else [resolve_run(given.run, outputs)]
    if given.web:
        return follow_on_page(_only(folders), given.port or 0, console)
    if given.run is None:
        return follow_running(folders, lambda: _found(outputs), console)
    return follow_on_terminal(folders[0], console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sslcli watch",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="the run's folder, the beginning of its name, or `last` "
        "(default: every run that is running)",
    )
    parser.add_argument(
        "--web", action="store_true", help="serve a page on this machine's loopback address"
    )
    parser.add_argument("--port", type=int, help="port of the page (default: any that is free)")
    add_outputs(parser)
    return parser


def _found(outputs: Path) -> list[Path]:
    return [run.folder for run in summaries(outputs) if run.status == "running"]


def _running(outputs: Path) -> list[Path]:
    """Returns the runs that are running; raises SslcliError where none is."""
    found = _found(outputs)
    if not found:
        raise SslcliError(
            f"no run is running under {printable(outputs.absolute())}",
            "name one: sslcli watch last; or start one: sslcli pretrain",
        )
    return found


def _only(folders: list[Path]) -> Path:
    if len(folders) > 1:
        names = ", ".join(printable(folder) for folder in folders[:3])
        raise SslcliError(
            f"{len(folders)} runs are running, and a page follows one: {names}",
            f"name it: sslcli watch {shell_path(folders[0])} --web",
        )
    return folders[0]
