"""`sslcli inspect` tells what a data set holds, and what to mend, before training."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sslcli.tools.arguments import parse

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.tools.table import Compose

AT_MOST = 100_000
EXAMPLES = """\
examples
  sslcli inspect ~/photos
  sslcli inspect pictures.csv data.label=diagnosis data.groups=patient
  sslcli inspect data=table data.root=pictures.csv --to inspection
"""


def main(arguments: list[str], console: Console, compose: Compose) -> int:
    given = parse(_parser(), arguments)

    from sslcli.tools.inspect.inspection import inspect  # imports PIL

    inspect(given, console, compose)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sslcli inspect",
        usage="sslcli inspect PATH [data.KEY=VALUE ...] [--to FOLDER] [--json FILE] [--at-most N]",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="PATH",
        help="a folder of pictures, a table that lists them, or a file of arrays; "
        "or a run's words: data=… data.root=…",
    )
    parser.add_argument(
        "--to", metavar="FOLDER", help="write a page with pictures into a new or empty folder"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write all that was found; - prints it in place of the text"
    )
    parser.add_argument(
        "--at-most",
        type=int,
        default=AT_MOST,
        metavar="N",
        help=f"look at so many pictures, at even distances (default: {AT_MOST})",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="threads (default: one a core)")
    return parser
