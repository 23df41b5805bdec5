"""What a shell and Hydra make of commands that are shown, and names that are hard to show."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles import facts
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sslcli.cli.words import split_words
from sslcli.console import Console
from sslcli.errors import SslcliError

NAMES = [
    "plain", "a b", "it's", 'say "x"', "$HOME `id` ${a}", "$(id)", "{a,b}", "a=b,c", "b\\", "2024_01", "ünï—字 🙂",
    "-n", "~", "~root", ":cat: [b]", "*?", "null", "'x'", "#", "a;b&c|d", "hi!", "new\nline", "\x1b[2J", "b\udcff",
]  # fmt: skip
NOWHERE = Console(io.StringIO(), io.StringIO())


def pasted(lines: list[str]) -> list[list[str]]:
    """What bash makes of each line: its words. What it would run instead of the first one runs nothing."""
    program = "".join(f"printf '%s\\0' {line}\nprintf '\\n\\0'\n" for line in lines)
    done = subprocess.run(["bash", "-c", program], capture_output=True)
    found = os.fsdecode(done.stdout).split("\0\n\0")
    assert found.pop() == ""
    return [words.split("\0") for words in found]


def by_hydra(word: str) -> Any:
    """The value of an override that was typed as `word`."""
    (override,), _ = split_words([word])
    parsed = OverridesParser.create().parse_override(override)
    return OmegaConf.create({"value": parsed.value()}).value


def is_same(path: str, folder: Path) -> bool:
    """Whether a command would take the path for the folder."""
    return not path.startswith("-") and Path(path).expanduser().absolute() == folder.absolute()


def printed(error: SslcliError) -> str:
    """The fix, as a terminal shows it."""
    errors = io.StringIO()
    Console(io.StringIO(), errors).error(error)
    (_, fix) = errors.getvalue().rstrip("\n").split("\nfix:   ")
    return fix


def refusal(work: Callable[..., object], *given: object) -> SslcliError:
    with pytest.raises(SslcliError) as caught:
        work(*given)
    return caught.value


def fix_of(work: Callable[..., object], *given: object) -> str:
    """The fix of the error that `work` ends in, as a terminal shows it."""
    return printed(refusal(work, *given))


def command_in(shown: str) -> str:
    return shown.partition("sslcli ")[2]


def change(run: Path, **changes: Any) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), **changes}))
