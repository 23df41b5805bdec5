"""`sslcli new method NAME` writes a package with a method and its tests."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from sslcli.console import Console
from sslcli.errors import SslcliError, require
from sslcli.methods import METHODS
from sslcli.text import hydra_word, shell_path
from sslcli.tools.arguments import parse

FILES = {
    "pyproject.toml": "pyproject.toml.jinja",
    "sslcli_{name}.py": "method.py.jinja",
    "test_{name}.py": "test_method.py.jinja",
}
"""The files of a package, by the template of each."""


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli new", description=__doc__)
    parser.add_argument("what", choices=["method"], help="what to begin")
    parser.add_argument("name", help="its name on the command line, as in method=NAME")
    parser.add_argument("--output", metavar="FOLDER", help="default: sslcli-NAME, here")
    given = parse(parser, arguments)
    _require_free(given.name)
    folder = Path(given.output or f"sslcli-{given.name.replace('_', '-')}")
    write_package(folder, given.name)
    place = shell_path(folder)
    console.say(f"written: {folder}\n")
    console.say(f"pip install -e {place}    # once: sslcli then finds it by its name")
    console.say(f"pytest {place}")
    console.say(f"sslcli pretrain {hydra_word('method', given.name)}")
    return 0


def write_package(folder: Path, name: str) -> None:
    """Writes a package's files. Raises SslcliError where one is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SslcliError(
            f"{folder} is there already", "choose another --output; nothing is overwritten"
        )
    folder.mkdir(parents=True, exist_ok=True)
    templates = Environment(
        loader=PackageLoader("sslcli.tools.new"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    names = {"name": name, "class_name": "".join(word.title() for word in name.split("_"))}
    for file, template in FILES.items():
        text = templates.get_template(template).render(names)
        (folder / file.format(name=name)).write_text(text, encoding="utf-8")


def _require_free(name: str) -> None:
    """Raises SslcliError where the name is no name, or a method has it."""
    good = re.fullmatch("[a-z][a-z0-9_]*", name) is not None and not keyword.iskeyword(name)
    fix = "begin with a letter, as in my_method"
    require(good, "the name", name, "of small letters, digits and _", fix)
    if name in METHODS:
        raise SslcliError(f"there is a method {name!r} already", f"call it my_{name}")
