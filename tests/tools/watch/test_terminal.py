"""What a terminal shows of runs: plots, pictures and words, never more than fits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from reported import hostile_run, make_run

from sslcli.report.families import Line
from sslcli.screen import Line as TextLine
from sslcli.screen import Screen
from sslcli.tools.watch.frame import frame
from sslcli.tools.watch.picture import picture_lines
from sslcli.tools.watch.plot import plot
from sslcli.tools.watch.sight import Sight, Watched


def texts(lines: list[TextLine] | list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def line(*y: float, name: str = "", colour: int = 0) -> Line:
    return Line(name, np.arange(1.0, len(y) + 1), np.array(y), colour)


def dots(lines: list[str]) -> NDArray[np.bool_]:
    """The dots of a plot's characters, one pixel each."""
    rows = [[ord(c) - 0x2800 for c in row[10:]] for row in lines[1:-1]]
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    cells = np.array(rows)
    found = np.zeros((4 * cells.shape[0], 2 * cells.shape[1]), bool)
    for y in range(4):
        for x in range(2):
            found[y::4, x::2] = (cells & bits[y][x]) > 0
    return found


def test_a_plot_has_every_point_in_its_place() -> None:
    drawn = texts(plot("loss", [line(3.0, 1.0, 2.0)], 40, 9))
    assert [len(row) for row in drawn] == [40] * 9
    assert drawn[0].startswith("loss 2 ")
    assert drawn[1].startswith("        3┤")
    assert drawn[-2].startswith("        1┤")
    assert drawn[-1].split() == ["epoch", "0", "3"]
    found = dots(drawn)
    height, width = found.shape
    assert found[0, round((width - 1) / 3)]
    assert found[height - 1, round(2 * (width - 1) / 3)]
    assert found[height // 2 - 1 : height // 2 + 1, width - 1].any()
    assert not found[:, : width // 3 - 1].any(), "nothing is drawn before the first point"
    assert found[:, width // 3 :].any(axis=0).all(), "points are joined"


def test_a_plot_of_one_value_of_a_constant_and_of_many_points() -> None:
    assert dots(texts(plot("loss", [line(0.0)], 40, 9))).sum() == 1
    assert dots(texts(plot("loss", [line(5.0, 5.0)], 40, 9))).any(axis=1).sum() == 1
    x = np.arange(10_000.0)
    smooth = dots(texts(plot("loss", [Line("", x, x / 1000 + (-1) ** x)], 40, 9)))
    assert smooth.sum() < 2 * smooth.shape[1], "of a long curve the mean is drawn"


def test_lines_have_their_colours_and_ascii_is_drawn_where_there_is_no_more() -> None:
    two = [line(1.0, 1.0, name="a", colour=0), line(2.0, 2.0, name="b", colour=1)]
    drawn = plot("loss", two, 40, 9)
    assert texts(drawn)[0].rstrip() == "loss a 1 b 2"
    styles = {style for row in drawn[1:-1] for text, style in row[1:] if text != chr(0x2800)}
    assert styles == {"#2563eb", "#d97706"}
    plain = texts(plot("loss", two, 40, 9, has_unicode=False))
    assert "".join(plain).isascii()
    assert "".join(plain).count("*") > 20


@pytest.mark.parametrize("value", [1.23456e-5, -1.23456e-5, 123456789.0, -1.5e300, 0.00073076])
def test_a_label_is_rounded_and_never_cut(value: float) -> None:
    label = texts(plot("loss", [line(value, 2 * value)], 40, 9))[1 if value < 0 else -2][:9]
    assert float(label) == pytest.approx(value, rel=0.1)


def test_a_picture_is_drawn_two_pixels_a_character(tmp_path: Path) -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8] = (255, 0, 0)
    pixels[8:, 12:] = (0, 0, 255)
    path = tmp_path / "views.png"
    Image.fromarray(pixels).save(path)
    drawn = picture_lines(path, 24, 8)
    assert texts(drawn) == ["▀" * 24] * 8
    assert drawn[0][0][1] == "#ff0000 on #ff0000"
    assert (drawn[7][0][1], drawn[7][23][1]) == ("#000000 on #000000", "#0000ff on #0000ff")
    assert texts(picture_lines(path, 12, 8)) == ["▀" * 12] * 4
    assert picture_lines(path, 24, 6) == drawn[:6], "its lower part is cut off"
    assert picture_lines(path, 24, 5) == []
    path.write_bytes(path.read_bytes()[:40])
    assert picture_lines(path, 24, 8) == []
    assert picture_lines(tmp_path / "none.png", 24, 8) == []


def look(run: Path) -> Sight:
    return Watched(run).look()


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (40, 24), (80, 24), (140, 60), (500, 200)])
def test_a_frame_fits_into_the_terminal(tmp_path: Path, size: tuple[int, int]) -> None:
    for runs in ([make_run(tmp_path / "a")], [hostile_run(tmp_path), make_run(tmp_path / "b")]):
        for has_unicode in (True, False):
            lines = frame([look(run) for run in runs], *size, has_unicode)
            assert len(lines) <= size[1]


def test_a_frame_shows_words_curves_and_the_picture(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", status="failed", error="the loss is nan", derived={"num_steps": 40}
    )
    shown = "\n".join(texts(frame([look(run)], 100, 60)))
    for said in ("simclr on fashion_sample: pretrain  failed", str(run), "! the run failed",
                 "! the loss is nan", " 50%  step 20 of 40", "loss 1.135", "kNN accuracy 0.7", "▀"):  # fmt: skip
        assert said in shown, said
    assert "▀" not in "\n".join(texts(frame([look(run)], 100, 12)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_no_command_from_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    screen = Screen(stream)
    assert screen.is_terminal
    with screen.live() as show:
        show([[("[red]a\x1b[2J\x07", "bold"), (":cat:", "")], [("x" * 500, "")]])
    written = stream.getvalue()
    assert "[red]a\\x1b[2J\\x07" in written
    assert ":cat:" in written
    assert "\x1b[2J" not in written
    assert "x" * 100 not in written, "a line is cut, not wrapped"


def test_a_terminal_without_unicode_is_shown_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(stream, "isatty", lambda: True)
    screen = Screen(stream)
    assert not screen.has_unicode
    with screen.live() as show:
        show([[("größe", "")], [("x" * 500, "")]])
    assert b"gr??e" in written.getvalue()
