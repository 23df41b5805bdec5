"""`sslcli views` draws what a method's views are like, without training.

Words are those of `sslcli pretrain`. A key with several values, as in
`method/views=microscopy,satellite`, draws them side by side.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.choices import name_in
from sslcli.errors import SslcliError, require
from sslcli.experiments.groups import GROUPS
from sslcli.files import expanded
from sslcli.tools.arguments import parse, require_free

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.tools.table import Compose

MOST_PICTURES, MOST_VARIANTS = 64, 8
FOLDER = "views"
"""Where sheets are kept below the folder of runs."""


def main(arguments: list[str], console: Console, compose: Compose) -> int:
    given = parse(_parser(), arguments)
    must_be, fix = f"from 1 to {MOST_PICTURES}", "8 is the default"
    require(1 <= given.pictures <= MOST_PICTURES, "--pictures", given.pictures, must_be, fix)
    variants = compose("pretrain", given.words)
    _require_alike(variants)
    path = _free_path(variants[0][1]) if given.to is None else expanded(given.to)
    if path.suffix.lower() != ".png":
        raise SslcliError(f"--to {path}: the sheet is a PNG picture", "let its name end in .png")
    require_free([path], given.force, "--to")

    from sslcli.tools.views.draw import draw  # imports torch

    draw(variants, given.pictures, path, console)
    return 0


def _require_alike(variants: list[tuple[str, Any]]) -> None:
    """Raises SslcliError unless all variants are of the same pictures, and few enough."""
    if len(variants) > MOST_VARIANTS:
        message = f"{len(variants)} kinds of views do not fit on one sheet"
        raise SslcliError(message, f"give at most {MOST_VARIANTS} values")
    first = variants[0][1]
    for name, config in variants[1:]:
        if config.data != first.data:
            message = f"{variants[0][0]} and {name} are not the same pictures"
            raise SslcliError(message, "draw one sheet for each: give data… one value")


def _free_path(config: Any) -> Path:
    """Returns a new path below the folder of runs."""
    names = [name_in(GROUPS[group], getattr(config, group)) for group in ("method", "data")]
    folder = expanded(config.runtime.outputs) / FOLDER
    numbers = ["", *(f"-{number}" for number in range(2, 10_000))]
    paths = [folder / f"{'-'.join(names)}{number}.png" for number in numbers]
    return next(path for path in paths if not path.exists())


def _parser() -> argparse.ArgumentParser:
    usage = "sslcli views [key=value ...] [--to FILE.png] [--pictures N]"
    parser = argparse.ArgumentParser(prog="sslcli views", usage=usage, description=__doc__)
    parser.add_argument(
        "words", nargs="*", metavar="key=value", help="as in sslcli pretrain: method=dino data=…"
    )
    parser.add_argument("--to", metavar="FILE.png", help="the picture to write")
    parser.add_argument(
        "--pictures", type=int, default=8, metavar="N", help="how many are shown (default: 8)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    return parser
