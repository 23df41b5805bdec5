"""No f-string shows a command, or an override of a text, with a value that is not quoted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sslcli.cli.words import text_fields
from sslcli.experiments.table import EXPERIMENTS
from sslcli.tools.table import TOOLS

PACKAGE = Path(__file__).parents[2] / "sslcli"
QUOTING = {"shell_quoted", "shell_path", "shell_line", "hydra_word", "hydra_path"}
BEFORE = re.compile(
    rf"(\bsslcli ({'|'.join([*EXPERIMENTS, *TOOLS])}) (\S+ )*\S*"
    rf"|(?<![\w.])({'|'.join(map(re.escape, text_fields(())))})=)$"
)
"""What a value must not follow as it is: a command, or the key of a text."""


def unquoted(source: str) -> Iterator[str]:
    """The f-strings of a file that show a command, or a text's key, with a value that is not quoted."""
    tree = ast.parse(source)
    quoted = {
        ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_quoted(node.value, set())
        for target in node.targets
    }
    for node in ast.walk(tree):
        said = ""
        for part in node.values if isinstance(node, ast.JoinedStr) else []:
            if isinstance(part, ast.Constant):
                said += part.value
            elif isinstance(part, ast.FormattedValue):
                if BEFORE.search(said) and not is_quoted(part.value, quoted):
                    yield ast.unparse(node)
                said += "…"


def is_quoted(value: ast.expr, quoted: set[str]) -> bool:
    """Whether it was quoted, or is made of constants alone."""
    names = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]
    call = isinstance(value, ast.Call) and ast.unparse(value.func) in QUOTING
    return call or ast.unparse(value) in quoted or all(name.isupper() for name in names)


def test_no_command_holds_a_value_as_it_is() -> None:
    found = {str(path): list(unquoted(path.read_text())) for path in PACKAGE.rglob("*.py")}
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ('f"go on: sslcli resume {run}"', True),
        ('f"go on: sslcli resume {shell_path(run)}"', False),
        ('f"go on: sslcli export x --to {form} --force"', True),
        ("f\"sslcli finetune {hydra_path('run', run)} init={init}\"", True),
        ('f"choose one: data.root={path}"', True),
        ('f"choose one: data.root={str(path)!r}"', True),
        ('folder = shell_path(run)\nf"sslcli restore {folder} picture.png"', False),
        ('f"sslcli export RUN --to {JOIN.join(FORMATS)}"', False),
        ('f"this version of sslcli reads format {found}"', False),
        ('f"metadata.root={path}"', False),
    ],
)
def test_the_guard_sees_what_it_should(source: str, caught: bool) -> None:
    assert bool(list(unquoted(source))) == caught
