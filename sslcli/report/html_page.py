"""Builds the page of `sslcli report` from tables, charts, pictures and so on.

A part takes values and returns `Html`. plotly's script is included whole, so that the page needs no
network.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sslcli.errors import SslcliError
from sslcli.report.frame import Html, picture_uri, render_page, templates

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from PIL import Image

ORIGIN = "sslcli-report"
"""Marks the pages written here."""
ALL_PICTURES = 600_000
"""Bytes of all pictures of a page, about: plotly takes 4.8 MB of 6."""
TINY = 64
"""Pixels a side up to which a picture of a gallery is magnified, and kept as PNG."""
LONG_TEXT = 40
"""Characters from which a table's cell is broken into lines."""


class Cell(NamedTuple):
    """Holds a table's cell: `text`, sorted by `value` where there is one."""

    text: str
    value: Any = None

    @property
    def is_long(self) -> bool:
        return self.value is None and len(self.text) > LONG_TEXT


def require_plotly() -> None:
    """Raises SslcliError where plotly is missing. Imports nothing."""
    if find_spec("plotly") is None:
        raise SslcliError(
            "the report's charts need plotly, which is not installed",
            "pip install 'sslcli[report]'",
        )


def page(
    about: str, title: str, parts: Iterable[Html], origin: str = ORIGIN, charts: bool = True
) -> bytes:
    """Returns the page; `about`: the run or sweep, as `written_about` reads it back.

    Without `charts`, plotly is neither needed nor included.
    """
    values = {
        "origin": origin,
        "about": about,
        "title": title,
        "parts": list(parts),
        "plotly": _plotly() if charts else "",
    }
    return render_page("report.html.jinja", values)


def _plotly() -> Html:
    from plotly.offline import get_plotlyjs

    return Html(get_plotlyjs())


def joined(parts: Iterable[Html]) -> Html:
    return Html("\n").join(parts)


def section(heading: str, *parts: Html) -> Html:
    return _part("section", heading, parts)


def folded(heading: str, *parts: Html) -> Html:
    """Returns a section that a click on its heading opens."""
    return _part("folded", heading, parts)


def paragraph(text: str) -> Html:
    return _part("paragraph", text)


def notes(lines: Sequence[str]) -> Html:
    """Returns a marked list, or nothing for no lines."""
    return _part("notes", lines) if lines else Html("")


def tiles(values: Sequence[tuple[str, str]]) -> Html:
    """Shows a few numbers large: (name, value)."""
    return _part("tiles", values)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], best: int | None = None) -> Html:
    """Returns a table that a click on a heading sorts.

    The row with index `best` is marked. None is an empty cell, and a float is shown to 5 digits.
    A (number, text) pair is sorted by the number and shown as the text.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    heads = [
        (column, any(row[index].value is not None for row in cells))
        for index, column in enumerate(columns)
    ]
    return _part("table", heads, cells, best)


def searched(label: str, content: Html) -> Html:
    """Adds a search field over a table, which hides the rows without the text."""
    return _part("searched", label, content)


def commands(lines: Sequence[tuple[str, Sequence[str]]]) -> Html:
    """Shows commands to copy: (purpose, commands). A click selects one."""
    return _part("commands", lines)


def chart(figure: go.Figure, heading: str = "") -> Html:
    """Embeds a chart of charts.py."""
    return _part("chart", heading.capitalize(), figure.layout.height, figure.to_plotly_json())


def charts(parts: Sequence[Html]) -> Html:
    """Puts charts side by side where there is room."""
    return _part("charts", parts)


def pictures(captions: dict[Path, str]) -> tuple[Html, list[str]]:
    """Embeds picture files with captions, and reports those that cannot be read.

    They are made smaller where all of them would be too much for a page.
    """
    from PIL.Image import DecompressionBombError

    parts, unreadable = [], []
    for path, caption in captions.items():
        try:
            address = _picture(path, ALL_PICTURES // len(captions))
        except (OSError, ValueError, SyntaxError, DecompressionBombError) as reason:
            unreadable.append(f"{path.name} cannot be read: {reason}")  # SyntaxError: broken PNG
            continue
        parts.append(_part("picture", address, caption))
    return joined(parts), unreadable


def gallery(clusters: Sequence[Sequence[tuple[Image.Image, str]]]) -> Html:
    """Shows small pictures with captions, those of a cluster side by side."""
    return _part("gallery", [[_small(*one) for one in cluster] for cluster in clusters])


def _small(image: Image.Image, caption: str) -> tuple[Html, bool, str]:
    """Returns a picture's address, whether it is magnified, and its caption."""
    content = io.BytesIO()
    tiny = max(image.size) <= TINY
    image.save(content, "PNG" if tiny else "JPEG", **({} if tiny else {"quality": 85}))
    return picture_uri(content.getvalue(), "png" if tiny else "jpeg"), bool(tiny), caption


def bars(counts: Sequence[tuple[str, int]]) -> Html:
    """Shows counts as bars, the largest as wide as there is room."""
    most = max((count for _, count in counts), default=1) or 1
    return _part("bars", [(name, count, round(100 * count / most, 1)) for name, count in counts])


def _picture(path: Path, most: int) -> Html:
    """Returns the file as it is, or as a JPEG of about `most` bytes at most."""
    from PIL import Image

    with Image.open(path) as opened:
        opened.load()
        content = path.read_bytes()
        if opened.format == "PNG" and len(content) <= most:
            return picture_uri(content, "png")
        picture = opened.convert("RGB")
    for side, quality in ((1600, 88), (1200, 80), (800, 70)):
        picture.thumbnail((side, 4 * side))
        smaller = io.BytesIO()
        picture.save(smaller, "JPEG", quality=quality)
        if smaller.tell() <= most:
            break
    return picture_uri(smaller.getvalue(), "jpeg")


def _cell(value: Any) -> Cell:
    if value is None:
        return Cell("")
    if isinstance(value, tuple):
        number, text = value
        return Cell(text, number)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Cell(f"{value:.5g}" if isinstance(value, float) else str(value), value)
    return Cell(str(value))


def _part(macro: str, *arguments: object) -> Html:
    """Renders one of the macros of templates/parts.html.jinja."""
    part: Html = getattr(templates().get_template("parts.html.jinja").module, macro)(*arguments)
    return part
