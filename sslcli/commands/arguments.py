"""What the tools' arguments have in common."""

from __future__ import annotations

import argparse
from typing import NoReturn

from sslcli.errors import SslcliError


def add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--outputs", default="outputs", help="folder under which runs are looked for (default: outputs)"
    )


def parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parses; a mistake becomes an SslcliError, so that it reads like every other."""

    def error(message: str) -> NoReturn:
        usage = " ".join(parser.format_usage().split())
        raise SslcliError(message, f"{usage}   (--help tells more)")

    parser.error = error  # type: ignore[method-assign]
    return parser.parse_intermixed_args(arguments)
