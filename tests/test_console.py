"""What is shown is what was said, on a terminal or not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sslcli.console import Console
from sslcli.errors import SslcliError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_said_is_markup_or_a_terminals_command(tmp_path: Path) -> None:
    output, errors = io.StringIO(), io.StringIO()
    console = Console(output, errors)
    odd = "[red]a\x1b[2J\nb\udcff \x9bé画🙂"
    shown = "[red]a\\x1b[2J\nb\\udcff \\x9bé画🙂"
    with console.logged(tmp_path / "log.txt"):
        console.say(odd)
        console.warn(odd)
    console.error(SslcliError(odd, odd))
    console.table(odd, ["[b]", "n"], [[odd.replace("\n", " "), "1"]])
    assert output.getvalue().startswith(shown + "\n")
    assert errors.getvalue() == f"warning: {shown}\nerror: {shown}\nfix:   {shown}\n"
    assert "\x1b" not in output.getvalue()
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").count(shown) == 2


def test_what_is_tracked_is_announced_where_no_bar_moves(tmp_path: Path) -> None:
    errors = io.StringIO()
    console = Console(io.StringIO(), errors)
    label = "decoding pictures, once, into [/x] (1.2 GB)"
    with console.logged(tmp_path / "log.txt"):
        tracked = iter(console.track(range(3), total=3, label=label))
        assert not errors.getvalue()
        assert next(tracked) == 0
        assert errors.getvalue() == f"{label}\n", "before the first is done"
    assert list(tracked) == [1, 2]
    assert list(console.track([], total=0, label="nothing to do")) == []
    assert errors.getvalue() == f"{label}\n"
    assert (tmp_path / "log.txt").read_text().endswith(f" {label}\n")


@pytest.mark.parametrize("text", [":cat:", "[b]x[/b]", "a\\[b]", "\\[", "\\", "[a]\\", "x" * 500])
def test_no_character_is_lost_or_added(text: str) -> None:
    output, errors = io.StringIO(), io.StringIO()
    console = Console(output, errors)
    console.say(text)
    console.error(SslcliError(text, text))
    console.table(text, [text], [[text]])
    console.columns(text, [(text, "")])
    assert output.getvalue().split("\n")[:4] == [text, text, text, text]
    assert [line.rstrip() for line in output.getvalue().split("\n")[4:6]] == [text, f"  {text}"]
    assert errors.getvalue() == f"error: {text}\nfix:   {text}\n"


@pytest.mark.parametrize("label", ["into [/x]", "[bold]", ":cat: \\[b]\\"])
def test_a_bar_is_labelled_as_it_is(label: str) -> None:
    errors = Terminal()
    assert list(Console(io.StringIO(), errors).track(range(2), total=2, label=label)) == [0, 1]
    assert label in errors.getvalue()
