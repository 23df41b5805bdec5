"""What the README and the docs pages tell a person to type can be typed; the site builds strictly."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from doubles import Outcome

from sslcli.console import Console
from sslcli.experiments.table import EXPERIMENTS
from sslcli.methods.simclr import SimCLRConfig
from sslcli.tools.table import TOOLS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def keys_page() -> Any:
    """The hook that writes docs/keys.md; it is a file beside the pages, in no package."""
    spec = importlib.util.spec_from_file_location("keys_page", ROOT / "docs/keys_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["keys_page"] = module  # where dataclasses looks for the module of its class
    spec.loader.exec_module(module)
    return module


KEYS = keys_page().page()


def shell_lines(text: str) -> Iterator[str]:
    """Lines of code blocks, fenced or indented, and code within sentences that is a whole command."""
    text = re.sub(r" *\\\n\s*", " ", text)
    blocks = re.findall(r"^```(?:sh|text)?\n(.*?)^```$", text, flags=re.M | re.S)
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    blocks += re.findall(r"^ {4,}(\S.*)$", outside, flags=re.M)
    for block in blocks:
        yield from block.splitlines()
    yield from (
        code for code in re.findall(r"`([^`\n]+)`", outside) if not re.search(r"…|[<\[|]", code)
    )


def commands(text: str) -> Iterator[tuple[str, ...]]:
    """The words after `sslcli` of every command line, whatever starts it: env NAME=value, torchrun, srun."""
    starter = r"(?:(?:[A-Z_]+=\S+ |env |torchrun |srun |python3? )[^#]*?)?(?:-m |\S+/)?"
    for line in shell_lines(text):
        found = re.match(rf"{starter}sslcli (?=[a-z])(.*)", line.strip())
        if found:
            yield tuple(shlex.split(found[1], comments=True))


FOUND = dict.fromkeys(
    words for text in [*(page.read_text() for page in PAGES), KEYS] for words in commands(text)
)
PLACEHOLDER = re.compile(r"\b(RUN|SWEEP|FOLDER|FORMAT|PICTURE|GROUP|SHELL|KEY|NAME)\b")
SHOWN = [words for words in FOUND if not any(PLACEHOLDER.search(word) for word in words)]
COMPOSED = [words for words in SHOWN if words[0] in EXPERIMENTS and "method=my_byol" not in words]
PARSED = [
    words for words in SHOWN if words[0] in TOOLS and len(words) > 1 and "--help" not in words
]
MISTYPED = ("pretrain", "method.temprature=0.5")


def test_commands_are_found_in_every_form() -> None:
    text = "```sh\nsslcli runs --csv    # all\nFOO=1 torchrun --nproc-per-node=4 -m sslcli pretrain \\\n    seed=1\n```\n"
    text += "\n    srun --nodes=2 sslcli inpaint\n\nType `sslcli report last`.\n"
    assert list(commands(text)) == [
        ("runs", "--csv"),
        ("pretrain", "seed=1"),
        ("inpaint",),
        ("report", "last"),
    ]
    assert len(COMPOSED) > 40
    assert len(PARSED) > 15
    assert ("pretrain", "batch_size=1024") in COMPOSED


@pytest.mark.parametrize("words", [words for words in COMPOSED if words != MISTYPED], ids=" ".join)
def test_every_experiment_composes(sslcli: Callable[..., Outcome], words: tuple[str, ...]) -> None:
    def one(word: str) -> str:
        """A sweep has several values where a run has one."""
        key, _, value = word.partition("=")
        if "interval(" in value:
            return f"{key}={value.partition('(')[2].partition(',')[0]}"
        return re.split(r",(?![^\[]*\])", word)[0]

    single = [
        one(word) if "-m" in words else word
        for word in words
        if word not in ("-m", "--cfg", "job", "--help")
    ]
    outcome = sslcli(*single, "--help")
    assert outcome.status == 0, outcome.err


class Parsed(Exception):
    """Raised in place of the work of a tool whose arguments were understood."""


@pytest.mark.parametrize("words", PARSED, ids=" ".join)
def test_every_tool_understands_its_arguments(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = argparse.ArgumentParser.parse_intermixed_args

    def only_parse(parser: argparse.ArgumentParser, *arguments: Any) -> NoReturn:
        parse(parser, *arguments)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_intermixed_args", only_parse)
    tool = TOOLS[words[0]]
    compose = [lambda *typed: []] if tool.composes else []
    with pytest.raises(Parsed):
        tool.load().main(list(words[1:]), Console(), *compose)


def test_every_command_exists() -> None:
    assert {words[0] for words in FOUND} <= {*EXPERIMENTS, *TOOLS}


@pytest.mark.parametrize("page", ["README.md", "docs/first-steps.md"])
def test_the_mistake_is_answered_as_shown(sslcli: Callable[..., Outcome], page: str) -> None:
    (shown,) = re.findall(r"\$ sslcli (.*?)\n(error: .*?\nfix: .*?)\n", (ROOT / page).read_text())
    assert tuple(shlex.split(shown[0])) == MISTYPED
    said = sslcli(*MISTYPED).err.splitlines()
    wrong, fix = shown[1].splitlines()
    assert said[0] == wrong
    assert said[1].startswith(fix.removesuffix("…").rstrip())


def test_every_command_is_in_the_readme() -> None:
    for name in {*EXPERIMENTS, *TOOLS}:
        assert f"| `sslcli {name}" in README


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
    assert max(map(len, README.splitlines())) <= 120


@pytest.mark.parametrize("page", PAGES[2:], ids=lambda page: page.name)
def test_lines_of_prose_are_short(page: Path) -> None:
    if page.parent.name != "decisions":
        long = [
            line
            for line in page.read_text().splitlines()
            if len(line) > 120 and not line.startswith("|")
        ]
        assert long == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_it_names_are_there(page: Path) -> None:
    for name, _ in LINK.findall(page.read_text()):
        if not name.startswith("https://"):
            assert name == "keys.md" or (page.parent / name).exists(), name


@pytest.mark.parametrize(
    "words",
    [
        ("pretrain",),
        ("pretrain", "method=denoising_autoencoder", "data=folder"),
        ("inpaint",),
        ("stack-pretrain",),
        ("label-curve",),
    ],
    ids=" ".join,
)
def test_the_page_of_keys_has_what_help_prints(
    sslcli: Callable[..., Outcome], words: tuple[str, ...]
) -> None:
    printed = sslcli(*words, "--help").out.partition("\nkeys\n")[2].partition("\nflags\n")[0]
    keys = dict(re.findall(r"^  ([a-z][\w.]*)=(\S+)", printed, flags=re.M))
    assert len(keys) > 15
    for key, default in keys.items():
        if key in ("data", "encoder") and default == "null":  # a group, where it is the run's
            continue
        if f"{key}={default}" in SimCLRConfig.suits:  # the page has what is so without a method
            continue
        shown = "*required*" if default == "???" else f"`{default}`"
        assert f"| `{key}` | {shown} |" in KEYS, f"{key}={default}"


def test_the_page_of_keys_says_what_changes_results() -> None:
    assert re.search(r"\| `runtime.threads` \| .* \| no \|", KEYS)
    assert re.search(r"\| `method.temperature` \| .* \| yes \|", KEYS)


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "keys.html").exists()
    assert not list(tmp_path.rglob("*.py"))
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(
            r"<(?:link|script|img)\b[^>]*(?:href|src)=\"?(https?:[^\" >]+)", page.read_text()
        )
        assert fetched == [], page
