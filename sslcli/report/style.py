"""Defines what all figures share: resolution, colours, axes, names to be drawn.

Only this file imports matplotlib, when a figure is drawn, and without pyplot: nothing global is
opened, so nothing is left to close.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from sslcli.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dashes = Literal["-", "--", ":", "-."]

DPI = 120
INK, MUTED, PALE = "#1f2937", "#6b7280", "#e5e7eb"
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2")
LINES: tuple[Dashes, ...] = ("-", "--", ":", "-.")
MAX_LINES = len(COLOURS) * len(LINES)
"""Lines that differ in colour or dashes. Any more look like one of these and are not named."""
FEW_POINTS = 30
"""Points of a line up to which each has its marker."""


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure, in inches, that leaves room for its labels."""
    figure = bare_figure(width, height)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    return figure


def new_panels(count: int, num_columns: int, legend: float) -> tuple[Figure, list[Axes]]:
    """Returns a figure of `count` panels in rows, with room for titles, ticks and a legend below.

    `legend`: its height in inches. Margins are fixed, and hold what `style_axes` writes of any
    numbers that differ by more than rounding: to measure labels takes as long as to draw them.
    """
    panel_width, panel_height, x_label = 4.0, 2.6, 0.25
    left, right, above, below = 0.75, 0.15, 0.35, 0.2  # of each panel
    num_rows = math.ceil(count / num_columns)
    width, height = panel_width * num_columns, panel_height * num_rows + x_label + legend
    figure = bare_figure(width, height)
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        top=1 - above / height,
        bottom=(below + x_label + legend) / height,
        wspace=(left + right) / (panel_width - left - right),
        hspace=(above + below) / (panel_height - above - below),
    )
    return figure, [figure.add_subplot(num_rows, num_columns, n + 1) for n in range(count)]


def save_figure(figure: Figure, path: Path | IO[bytes], **layout: Any) -> None:
    """Writes a PNG, a file whole or not at all; `layout` is savefig's."""
    if not isinstance(path, Path):
        figure.savefig(path, format="png", **layout)
        return
    with replacing(path, durable=False) as temporary:
        figure.savefig(temporary, format="png", **layout)


def bare_figure(width: float, height: float) -> Figure:
    """Returns an empty figure, in inches, on which everything stays where it is put."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI)


def look(index: int) -> tuple[str, Dashes]:
    """Returns the colour and the dashes of a line."""
    return COLOURS[index % len(COLOURS)], LINES[index // len(COLOURS) % len(LINES)]


def marker(num_points: int) -> str | None:
    """Returns the marker of a line whose few points should be seen one by one."""
    return "o" if num_points <= FEW_POINTS else None


def name_lines(figure: Figure, names: Sequence[str], num_columns: int) -> None:
    """Adds a legend below the figure, of lines drawn as `look` says."""
    from matplotlib.lines import Line2D

    named = [(*look(index), drawable(name, 48)) for index, name in enumerate(names[:MAX_LINES])]
    lines = [Line2D([], [], color=colour, linestyle=dashes) for colour, dashes, _ in named]
    labels = [label for *_, label in named]
    figure.legend(
        lines, labels, loc="outside lower center", ncols=num_columns, fontsize=8, frameon=False
    )


def draw_arrow(figure: Figure, start: float, end: float, y: float, head: float) -> None:
    """Draws a thin arrow from left to right; pixels from the top left corner."""
    from matplotlib.patches import FancyArrowPatch

    width, height = figure.get_size_inches() * DPI
    ends = ((start / width, 1 - y / height), (end / width, 1 - y / height))
    arrow = FancyArrowPatch(*ends, arrowstyle="->", mutation_scale=head)
    arrow.set(transform=figure.transFigure, color=MUTED, linewidth=0.6)
    figure.add_artist(arrow)


def style_axes(axes: Axes, title: str, value: str = "", grid: bool = True) -> None:
    """Gives axes their colours and sizes, a title, and a value at the title's right."""
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


def label_axes(axes: Axes, x: str = "", y: str = "") -> None:
    axes.set_xlabel(x, fontsize=8, color=MUTED)
    axes.set_ylabel(y, fontsize=8, color=MUTED)


def drawable(name: str, longest: int = 24) -> str:
    """Returns a name as matplotlib's default font can draw it on one line.

    Other characters become "?", a long end "…".
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    known = "".join(c if c.isprintable() and font.get_char_index(ord(c)) else "?" for c in name)
    short = known if len(known) <= longest else known[: longest - 1] + "…"
    return short.replace("$", r"\$")  # a pair of them would begin a formula
