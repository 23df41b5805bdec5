"""Writes what was found as one HTML page with pictures, and as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.files import written_whole
from sslcli.report import html_page as on_page
from sslcli.report.frame import Html
from sslcli.text import printable
from sslcli.tools.inspect.as_text import rows as counted_rows
from sslcli.tools.inspect.as_values import values
from sslcli.tools.inspect.findings import TITLES, Finding, Seen, Severity
from sslcli.tools.inspect.odd import odd_ones
from sslcli.tools.inspect.picture_facts import thumbnail
from sslcli.tools.inspect.words import Asked

ORIGIN = "sslcli-inspect"
PAGE, JSON = "inspection.html", "inspection.json"
SHOWN = 128
"""Pixels of a picture on the page, at most."""
MOST_CLUSTERS, MOST_IN_CLUSTER = 6, 4
"""Of a finding."""
MOST_BARS = 20
EDGES = (32, 64, 128, 224, 512, 1024)
"""Pixels of the shorter side between which pictures are counted."""


def write_page(folder: Path, asked: Asked, seen: Seen, found: Sequence[Finding]) -> Path:
    """Writes the page into `folder`, which is new or empty; returns its path."""
    title = f"Inspection: {' '.join(asked.words)}"
    content = on_page.page(
        " ".join(asked.words), title, _parts(seen, found), origin=ORIGIN, charts=False
    )
    with written_whole(folder) as place:
        (place / PAGE).write_bytes(content)
        text = json.dumps(values(asked, seen, found), indent=2, allow_nan=False)
        (place / JSON).write_text(f"{text}\n", encoding="utf-8")
    return folder / PAGE


def _parts(seen: Seen, found: Sequence[Finding]) -> list[Html]:
    looked, total = len(seen.survey), len(seen.catalogue)
    number = {title: sum(one.severity is kind for one in found) for kind, title in TITLES.items()}
    tiles = [
        ("pictures", f"{total:,}"),
        ("looked at", f"{looked:,}"),
        ("broken", f"{len(seen.survey.bad):,}"),
        *((title, str(count)) for title, count in number.items()),
    ]
    command = on_page.commands([("To train on it", [seen.advice.command])])
    return [
        on_page.tiles(tiles),
        *(_of_severity(seen, found, severity) for severity in Severity),
        on_page.section("Commands", command, on_page.notes(seen.advice.reasons)),
        on_page.section("What there is", on_page.table(("what", "how many"), counted_rows(seen))),
        _classes(seen.summary.classes),
        _sizes(seen),
        _mean(seen),
        _odd(seen),
        _broken(seen),
    ]


def _of_severity(seen: Seen, found: Sequence[Finding], severity: Severity) -> Html:
    parts = []
    for finding in found:
        if finding.severity is severity:
            fix = [on_page.paragraph(f"→ {finding.fix}")] if finding.fix else []
            parts += [on_page.notes([finding.text]), *fix, _pictures_of(seen, finding)]
    return on_page.section(TITLES[severity].capitalize(), *parts) if parts else Html("")


def _pictures_of(seen: Seen, finding: Finding) -> Html:
    alone = all(len(rows) == 1 for rows in finding.rows)
    most = MOST_CLUSTERS * (2 if alone else 1)
    clusters = [[(row, "") for row in rows[:MOST_IN_CLUSTER]] for rows in finding.rows[:most]]
    return _gallery(seen, clusters)


def _gallery(seen: Seen, clusters: Sequence[Sequence[tuple[int, str]]]) -> Html:
    """Shows pictures by (row, what was measured); those that cannot be decoded are left out."""
    labels, shown = seen.catalogue.labels, []
    for cluster in clusters:
        images = []
        for row, measured in cluster:
            try:
                image = thumbnail(seen.catalogue.content(row), SHOWN)
            except Exception:  # PIL raises almost anything; the list of broken ones says why
                continue
            label = "" if labels is None else printable(labels[row])
            words = [word for word in (measured, label, seen.name(row)) if word]
            images.append((image, " · ".join(words)))
        shown += [images] if images else []
    return on_page.gallery(shown) if shown else Html("")


def _classes(counts: Mapping[str, Mapping[str, int]] | None) -> Html:
    if not counts:
        return Html("")
    parts = []
    for part, names in counts.items():
        ends = [(printable(name), count) for name, count in names.items()]
        more = ""
        if len(ends) > 2 * MOST_BARS:
            more = f": the {MOST_BARS} largest and smallest of {len(ends):,} classes"
            ends = ends[:MOST_BARS] + ends[-MOST_BARS:]
        parts += [on_page.paragraph(f"{part}{more}"), on_page.bars(ends)]
    return on_page.section("Classes", *parts)


def _sizes(seen: Seen) -> Html:
    sides = seen.summary.sides
    if not len(sides) or sides.min() == sides.max():
        return Html("")
    places = np.bincount(np.searchsorted(EDGES, sides, side="right"), minlength=len(EDGES) + 1)
    names = [
        f"below {EDGES[0]} px",
        *(f"{low} to {high - 1} px" for low, high in pairwise(EDGES)),
        f"{EDGES[-1]} px or more",
    ]
    counts = list(zip(names, places.tolist(), strict=True))
    return on_page.section("Shorter sides", on_page.bars(counts))


def _mean(seen: Seen) -> Html:
    if not len(seen.survey.good):
        return Html("")
    clusters = [[(_image(seen.survey.mean), "mean"), (_image(seen.survey.deviation), "deviation")]]
    words = (
        "Of all pictures, each pressed into a square. What shows in the mean stands in the same "
        "place of many pictures: a border, a mark, a date."
    )
    return on_page.section("Mean picture", on_page.paragraph(words), on_page.gallery(clusters))


def _image(values: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8))


def _odd(seen: Seen) -> Html:
    parts = []
    for kind, chosen in odd_ones(seen.survey).items():
        clusters = [[one] for one in chosen]
        parts += [on_page.paragraph(kind.capitalize()), _gallery(seen, clusters)]
    words = "The ends of what was measured; they need not be faults."
    return on_page.section("The odd ones", on_page.paragraph(words), *parts) if parts else Html("")


def _broken(seen: Seen) -> Html:
    bad = seen.survey.bad
    rows = [(seen.name(int(seen.survey.rows[i])), printable(why)) for i, why in bad.items()]
    if not rows:
        return Html("")
    return on_page.folded(f"Broken: {len(rows):,}", on_page.table(("picture", "why"), rows))
