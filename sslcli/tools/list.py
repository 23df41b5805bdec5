"""`sslcli list` lists methods, data, encoders, optimizers, trackers or experiments."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslcli.choices import Choices, package_in
from sslcli.config import conf_folder
from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.tools.arguments import parse
from sslcli.trackers.table import TRACKERS

GROUP = {"methods": "method", "data": "data", "encoders": "encoder", "optimizers": "optim"}
WIDTH = 90
"""Characters of a fault that are shown, so that it is one line; using the choice shows it all."""


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli list", description=__doc__)
    others = {"trackers": _trackers, "experiments": _experiments}
    parser.add_argument("what", choices=[*GROUP, *others], help="what to list")
    what = parse(parser, arguments).what
    console.columns(what, others[what]() if what in others else _choices(GROUP[what]))
    return 0


def _choices(group: str) -> list[tuple[str, str]]:
    table = GROUPS[group]
    built_in = table.built_in if isinstance(table, Choices) else table
    presets = sorted(conf_folder().glob(f"{group}/*.yaml"))
    rows = {name: _meaning(table, name) for name in built_in}
    rows |= {path.stem: _first_comment(path) for path in presets if path.stem not in built_in}
    return [*{**rows, **{name: _meaning(table, name) for name in table}}.items()]


def _meaning(table: Mapping[str, type[Any]], name: str) -> str:
    """Returns a choice's first line of docstring, or why it cannot be used."""
    try:
        meaning = (table[name].__doc__ or "").split("\n")[0]
    except SslcliError as fault:
        return textwrap.shorten(fault.message, WIDTH, placeholder=" …")
    package = package_in(table, name)
    return meaning if package is None else f"{meaning} ({package})"


def _trackers() -> list[tuple[str, str]]:
    return [(name, _meaning(TRACKERS, name)) for name in TRACKERS]


def _experiments() -> list[tuple[str, str]]:
    return [
        (path.stem, _first_comment(path))
        for path in sorted(conf_folder().glob("experiment/*.yaml"))
    ]


def _first_comment(path: Path) -> str:
    """Returns a file's first comment line, which says what the file is."""
    comments = [line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#")]
    return next(line for line in comments if line and not line.startswith("@package"))
