"""What the README tells a person to type can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from doubles import Sslcli

from sslcli.experiments.table import EXPERIMENTS
from sslcli.tools.table import TOOLS

README = (Path(__file__).parent.parent / "README.md").read_text()
LINES = [line for block in README.split("```")[1::2] for line in block.splitlines()]
COMMANDS = [
    shlex.split(line, comments=True)[1:] for line in LINES if re.match(r"sslcli [a-z]", line)
]
COMPOSED = [
    words for words in COMMANDS if words[0] in EXPERIMENTS and "method=tiny_shift" not in words
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("words", COMPOSED, ids=" ".join)
def test_every_experiment_composes(sslcli: Sslcli, words: list[str]) -> None:
    # A sweep has several values where a run has one.
    single = [
        word.split(",")[0] if "-m" in words else word
        for word in words
        if word not in ("-m", "--cfg", "job")
    ]
    outcome = sslcli(*single, "--help")
    assert outcome.status == 0, outcome.err


def test_every_tool_exists() -> None:
    assert {words[0] for words in COMMANDS} <= {*EXPERIMENTS, *TOOLS}


def test_the_mistake_is_answered_as_shown(sslcli: Sslcli) -> None:
    (shown,) = re.findall(r"\$ sslcli (.*?)\n(error: .*?\nfix: .*?)\n", README)
    said = sslcli(*shlex.split(shown[0])).err.splitlines()
    wrong, fix = shown[1].splitlines()
    assert said[0] == wrong
    assert said[1].startswith(fix.split(" there is:")[0])


def test_every_command_is_in_the_table() -> None:
    for name in {*EXPERIMENTS, *TOOLS}:
        assert f"| `sslcli {name}" in README


def test_files_that_it_names_are_there() -> None:
    root = Path(__file__).parent.parent
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (root / name).exists(), name
