"""What all figures share: resolution, colours, how axes look, names that the font can draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dashes = Literal["-", "--", ":", "-."]

DPI = 120
INK, MUTED, PALE = "#1f2937", "#6b7280", "#e5e7eb"
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2")
LINES: tuple[Dashes, ...] = ("-", "--", ":", "-.")
MAX_LINES = len(COLOURS) * len(LINES)
"""That are told apart by colour and dashes: what more there is looks like one of them, and is not named."""


def look(index: int) -> tuple[str, Dashes]:
    """Colour and dashes of a line."""
    return COLOURS[index % len(COLOURS)], LINES[index // len(COLOURS) % len(LINES)]


def name_lines(figure: Figure, names: Sequence[str], num_columns: int) -> None:
    """A legend below the figure, of the lines that look as `look` says."""
    from matplotlib.lines import Line2D

    named = [(*look(index), drawable(name, 48)) for index, name in enumerate(names[:MAX_LINES])]
    lines = [Line2D([], [], color=colour, linestyle=dashes) for colour, dashes, _ in named]
    labels = [label for *_, label in named]
    figure.legend(
        lines, labels, loc="outside lower center", ncols=num_columns, fontsize=8, frameon=False
    )


def style_axes(axes: Axes, title: str, value: str = "", grid: bool = True) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.set_title(value, loc="right", fontsize=9, color=MUTED)
    axes.tick_params(labelsize=7, labelcolor=MUTED, color=PALE, length=2)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(grid and side in ("bottom", "left"))
        axes.spines[side].set_color(PALE)
    if grid:
        axes.grid(color=PALE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.ticklabel_format(scilimits=(-3, 5), useOffset=False)
        axes.yaxis.get_offset_text().set(fontsize=7, color=MUTED)


def drawable(name: str, longest: int = 24) -> str:
    """A name as matplotlib's default font can draw it on one line: "?" for other characters, "…" for a long end."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    known = "".join(c if c.isprintable() and font.get_char_index(ord(c)) else "?" for c in name)
    short = known if len(known) <= longest else known[: longest - 1] + "…"
    return short.replace("$", r"\$")  # a pair of them would begin a formula
