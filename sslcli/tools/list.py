"""`sslcli list` lists the methods, data, encoders, optimizers or experiments."""

from __future__ import annotations

import argparse
from pathlib import Path

from sslcli.choices import Choices
from sslcli.config import conf_folder
from sslcli.console import Console
from sslcli.experiments.groups import GROUPS
from sslcli.tools.arguments import parse

GROUP = {"methods": "method", "data": "data", "encoders": "encoder", "optimizers": "optim"}


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli list", description=__doc__)
    parser.add_argument("what", choices=[*GROUP, "experiments"], help="what to list")
    what = parse(parser, arguments).what
    console.columns(what, _experiments() if what == "experiments" else _choices(GROUP[what]))
    return 0


def _choices(group: str) -> list[tuple[str, str]]:
    table = GROUPS[group]
    built_in = table.built_in if isinstance(table, Choices) else table
    rows = [(name, (cls.__doc__ or "").split("\n")[0]) for name, cls in built_in.items()]
    presets = sorted(conf_folder().glob(f"{group}/*.yaml"))
    rows += [(path.stem, _first_comment(path)) for path in presets if path.stem not in built_in]
    if isinstance(table, Choices):
        rows += [(name, f"installed: {point.value}") for name, point in table.installed.items()]
    return rows


def _experiments() -> list[tuple[str, str]]:
    return [
        (path.stem, _first_comment(path))
        for path in sorted(conf_folder().glob("experiment/*.yaml"))
    ]


def _first_comment(path: Path) -> str:
    """Returns a file's first comment line, which says what the file is."""
    comments = [line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#")]
    return next(line for line in comments if line and not line.startswith("@package"))
