"""What a release is made of names one version."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_one_version_is_named_everywhere() -> None:
    named = {
        "pyproject.toml": r'^version = "(.*)"$',
        "CITATION.cff": r"^version: (.*)$",
        "CHANGELOG.md": r"^## (\S+)",
    }
    texts = {name: (ROOT / name).read_text() for name in named}
    found = {name: re.findall(named[name], text, re.MULTILINE)[0] for name, text in texts.items()}
    assert set(found.values()) == {version("sslcli")}, found


def test_the_container_is_given_what_it_copies() -> None:
    """`.dockerignore` leaves everything out but what it names."""
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {name for line in copied for name in line.split()}
    given = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert sources == given
    assert all((ROOT / name).exists() for name in sources)


def test_the_extras_of_the_container_are_those_of_the_package() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    there = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(extras.split(",")) <= set(there)
