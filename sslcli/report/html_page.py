"""The page of `sslcli report`, and the parts it is made of: sections, tables to sort and to search, pictures, charts.

Everything that comes from a run is text to the page: a part takes values and returns `Html`. plotly is put in whole, so that
the page needs no network.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError
from sslcli.report.frame import Html, framed, inside_script, picture_uri, text

ORIGIN = "sslcli-report"
"""Marks the pages written here."""
ALL_PICTURES = 600_000
"""Bytes of all pictures of a page, about: plotly takes 4.8 MB of 6."""

STYLE = Html("""body { max-width: 75rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem; margin: 1rem 0; padding: 0; }
.tiles div { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .75rem; overflow-wrap: anywhere; }
.tiles dt { color: var(--muted); font-size: .8rem; } .tiles dd { margin: 0; font-size: 1.15rem; font-weight: 600; }
.notes { border-left: 4px solid #d97706; margin: 1rem 0; padding: .25rem 1rem .25rem 2rem; overflow-wrap: anywhere; }
.box { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap;
  vertical-align: top; }
td.wide { white-space: normal; min-width: min(20rem, 50vw); max-width: 45rem; overflow-wrap: anywhere; }
td[data-value] { text-align: right; } tr.best td { font-weight: 700; }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid #2563eb; }
th button::after { content: " \\2195"; color: var(--muted); }
th[aria-sort=ascending] button::after { content: " \\2191"; } th[aria-sort=descending] button::after { content: " \\2193"; }
input { font: inherit; font-size: .9rem; width: 100%; max-width: 22rem; margin: .5rem 0; padding: .35rem .6rem;
  color: inherit; background: transparent; border: 1px solid var(--line); border-radius: 6px; }
summary { cursor: pointer; font-size: 1.1rem; font-weight: 600; margin: 1.5rem 0 .5rem; }
figure { margin: 0 0 1.5rem; } figcaption { color: var(--muted); font-size: .85rem; overflow-wrap: anywhere; }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem; font-size: .85rem;
  margin: .25rem 0 .75rem; }
.charts { columns: 2 28rem; column-gap: 1.5rem; } .charts > div { break-inside: avoid; }
.charts h3 { margin: 0; } .chart { width: 100%; }""")

SCRIPT = Html("""
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function themed(layout) {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
  const hoverlabel = { bgcolor: colour("--ground"), font: { color: colour("--ink") }, namelength: -1 };
  const paper = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
  const template = { layout: { xaxis: axis, yaxis: axis, hoverlabel, font: { color: colour("--ink"), size: 12 }, ...paper } };
  return { ...structuredClone(layout), uirevision: 1, autosize: true, template };
}
const charts = [...document.querySelectorAll(".chart")].map(place => {
  const { data, layout } = JSON.parse(place.firstElementChild.textContent);
  place.replaceChildren();
  return () => Plotly.react(place, data, themed(layout), { responsive: true, displaylogo: false });
});
const drawAll = () => charts.forEach(draw => draw());
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

function compare(a, b) {
  const [x, y] = [a, b].map(cell => cell.dataset.value ?? cell.textContent);
  if (!x || !y) return null;
  return a.dataset.value && b.dataset.value ? x - y : x.localeCompare(y, undefined, { numeric: true });
}
for (const head of document.querySelectorAll("th")) head.querySelector("button")?.addEventListener("click", () => {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const down = head.ariaSort === "ascending";
  table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const order = (a, b) => {  // what is missing stays below
    const [x, y] = [a.cells[column], b.cells[column]], found = compare(x, y);
    return found === null ? !x.textContent - !y.textContent : down ? -found : found;
  };
  body.append(...[...body.rows].sort(order));
});
for (const field of document.querySelectorAll("input")) field.addEventListener("input", () => {
  for (const row of field.parentElement.querySelectorAll("tbody tr"))
    row.hidden = !row.textContent.toLowerCase().includes(field.value.toLowerCase());
});
""")


def require_plotly() -> None:
    """Raises SslcliError where plotly is missing. Imports nothing."""
    if find_spec("plotly") is None:
        raise SslcliError(
            "the report's charts need plotly, which is not installed",
            "pip install 'sslcli[report]'",
        )


def page(about: str, title: str, parts: Iterable[Html]) -> bytes:
    """`about`: the run or sweep, as `written_about` tells it of the page."""
    from plotly.offline import get_plotlyjs

    scripts = Html(f"<script>{get_plotlyjs()}</script>\n<script>{SCRIPT}</script>")
    return framed(ORIGIN, about, title, STYLE, joined([*parts, scripts]))


def joined(parts: Iterable[Html]) -> Html:
    return Html("\n".join(parts))


def section(heading: str, *parts: Html) -> Html:
    return Html(f"<section><h2>{text(heading)}</h2>\n{joined(parts)}</section>")


def folded(heading: str, *parts: Html) -> Html:
    return Html(f"<details><summary>{text(heading)}</summary>\n{joined(parts)}</details>")


def paragraph(words: str) -> Html:
    return Html(f"<p>{text(words)}</p>")


def notes(lines: Sequence[str]) -> Html:
    return Html(
        f'<ul class="notes">{"".join(f"<li>{text(line)}</li>" for line in lines)}</ul>'
        if lines
        else ""
    )


def tiles(values: Sequence[tuple[str, str]]) -> Html:
    """A few numbers, large."""
    cells = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in values
    )
    return Html(f'<dl class="tiles">{cells}</dl>')


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], best: int | None = None) -> Html:
    """Sorted by a click on a heading. None is an empty cell; numbers are shown to 5 digits; a (number, words) pair is sorted by
    the one and shown as the other. `best`: the index of a row to mark."""
    heads = "".join(f"<th><button>{text(column)}</button></th>" for column in columns)
    lines = [
        f"<tr{' class=best' if index == best else ''}>{''.join(_cell(value) for value in row)}</tr>"
        for index, row in enumerate(rows)
    ]
    body = "\n".join(lines)
    return Html(
        f'<div class="box"><table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table></div>'
    )


def searched(what: str, content: Html) -> Html:
    """A table with a field that hides the rows which lack what is typed."""
    return Html(
        f'<div><input type="search" placeholder="{text(what)}" aria-label="{text(what)}">{content}</div>'
    )


def commands(lines: Sequence[tuple[str, str]]) -> Html:
    """What a command does, and the command to copy."""
    return joined(
        [Html(f"<h3>{text(what)}</h3><pre>{text(command)}</pre>") for what, command in lines]
    )


def chart(values: dict[str, Any], heading: str = "") -> Html:
    """One of charts.py."""
    head = f"<h3>{text(heading.capitalize())}</h3>" if heading else ""
    data = f'<script type="application/json">{inside_script(values)}</script>'
    return Html(
        f'<div>{head}<div class="chart" style="height:{int(values["layout"]["height"])}px">{data}</div></div>'
    )


def charts(found: Sequence[Html]) -> Html:
    """Side by side where there is room."""
    return Html(f'<div class="charts">{joined(found)}</div>')


def pictures(captions: dict[Path, str]) -> tuple[Html, list[str]]:
    """Picture files with their captions, made smaller where all would be too much for a page; and which cannot be read."""
    from PIL.Image import DecompressionBombError

    found, unreadable = [], []
    for path, caption in captions.items():
        try:
            address = _picture(path, ALL_PICTURES // len(captions))
        except (
            OSError,
            ValueError,
            SyntaxError,
            DecompressionBombError,
        ) as reason:  # SyntaxError: a broken PNG
            unreadable.append(f"{path.name} cannot be read: {reason}")
            continue
        found.append(
            Html(
                f'<figure><img src="{address}" alt="{text(caption)}"><figcaption>{text(caption)}</figcaption></figure>'
            )
        )
    return joined(found), unreadable


def _picture(path: Path, most: int) -> Html:
    """The file as it is, or as a JPEG of at most so many bytes, about."""
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


def _cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, tuple):
        return f'<td data-value="{text(value[0])}">{text(value[1])}</td>'
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'<td data-value="{text(value)}">{text(f"{value:.5g}" if isinstance(value, float) else value)}</td>'
    words = str(value)
    return f"<td{' class=wide' if len(words) > 40 else ''}>{text(words)}</td>"
