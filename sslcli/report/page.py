"""A map of features as one HTML page that needs nothing beside it: hovering, or touching, shows the picture.

Whatever comes from the data (names, paths) is text to the page: escaped where it is written, and put in as text by its script.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.report.embedding import class_colours
from sslcli.report.frame import Html, filled, framed, inside_script, picture_uri, text
from sslcli.report.style import COLOURS

LARGEST_TILE = 48
"""Pixels a side: larger pictures are shrunk to it, so that 2,000 of them make a page of a few MB."""
SHOWN = 144
"""Pixels a side that a picture has on the page, about."""

STYLE = """#stage { position: relative; width: 100%; max-width: min(100%, 82vh); aspect-ratio: 1;
  border: 1px solid var(--line); border-radius: 8px; }
#map { width: 100%; height: 100%; display: block; cursor: crosshair; touch-action: manipulation; }
#card { position: absolute; display: none; pointer-events: none; padding: 8px; max-width: 100%;
  background: var(--ground); border: 1px solid var(--line); border-radius: 8px; box-shadow: 0 4px 16px #0004;
  font-size: .8rem; }
#picture { width: @SHOWN@px; height: @SHOWN@px; background-image: url(@SPRITE@);
  background-size: @SPRITE_WIDTH@px auto; image-rendering: @RENDERING@; }
#name { font-weight: 600; } #file { color: var(--muted); } #name, #file { max-width: @SHOWN@px;
  overflow-wrap: anywhere; }
#legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; margin: .75rem 0 0;
  font-size: .85rem; }
#legend li { max-width: 100%; overflow-wrap: anywhere; }
#legend i { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .4em; }"""

BODY = """<p>@SUBTITLE@ Point at it, touch it, or use the arrow keys.</p>
<div id="stage"><canvas id="map" tabindex="0" role="img" aria-label="@TITLE@"></canvas>
<div id="card" role="status"><div id="picture"></div><div id="name"></div><div id="file"></div></div></div>
<ul id="legend"></ul>
<script type="application/json" id="data">@DATA@</script>
<script>
const data = JSON.parse(document.getElementById("data").textContent);
const [stage, map, card, picture] = ["stage", "map", "card", "picture"].map(id => document.getElementById(id));
let chosen = -1;
const place = i => [10 + data.x[i] * (stage.clientWidth - 20), 10 + data.y[i] * (stage.clientHeight - 20)];
const colour = i => data.labels ? data.colours[data.labels[i]] : data.colours[0];
function draw() {
  const scale = window.devicePixelRatio || 1;
  map.width = stage.clientWidth * scale; map.height = stage.clientHeight * scale;
  const pen = map.getContext("2d");
  pen.scale(scale, scale);
  for (let i = 0; i < data.x.length; i++) {
    const [x, y] = place(i);
    pen.globalAlpha = .8; pen.fillStyle = colour(i);
    pen.beginPath(); pen.arc(x, y, 3, 0, 7); pen.fill();
  }
  if (chosen < 0) return;
  const [x, y] = place(chosen);
  pen.globalAlpha = 1; pen.lineWidth = 2; pen.strokeStyle = getComputedStyle(document.body).color;
  pen.beginPath(); pen.arc(x, y, 7, 0, 7); pen.stroke();
}
function choose(i) {
  if (i === chosen) return;
  chosen = i; draw();
  card.style.display = i < 0 ? "none" : "block";
  if (i < 0) return;
  const [x, y] = place(i);
  picture.style.backgroundPosition = `${-(i % data.columns) * data.shown}px ${-Math.floor(i / data.columns) * data.shown}px`;
  document.getElementById("name").textContent = data.labels ? data.names[data.labels[i]] : "";
  document.getElementById("file").textContent = data.paths ? data.paths[i] : "";
  const left = x + 14 + card.offsetWidth > stage.clientWidth ? x - 14 - card.offsetWidth : x + 14;
  card.style.left = Math.max(0, Math.min(left, stage.clientWidth - card.offsetWidth)) + "px";
  card.style.top = Math.max(0, Math.min(y - 40, stage.clientHeight - card.offsetHeight)) + "px";
}
function nearest(event) {
  const box = map.getBoundingClientRect();
  let best = -1, least = 24 * 24;
  for (let i = 0; i < data.x.length; i++) {
    const [x, y] = place(i), d = (x - event.clientX + box.left) ** 2 + (y - event.clientY + box.top) ** 2;
    if (d < least) { least = d; best = i; }
  }
  return best;
}
map.addEventListener("pointermove", event => choose(nearest(event)));
map.addEventListener("pointerdown", event => choose(nearest(event)));
map.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") choose(-1); });
map.addEventListener("keydown", event => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") choose(-1);
  if (step) { event.preventDefault(); choose((chosen + step + data.x.length) % data.x.length); }
});
for (const [k, name] of data.names.entries()) {
  const item = document.createElement("li"), dot = document.createElement("i");
  dot.style.background = data.colours[k];
  item.append(dot, name);
  document.getElementById("legend").append(item);
}
new ResizeObserver(draw).observe(stage);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
</script>"""


def save_page(
    path: Path,
    points: NDArray[np.float32],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    names: Sequence[str],
    paths: Sequence[str] | None,
    title: str,
    subtitle: str,
) -> None:
    """`points` (N, 2); `images` (N, H, W, C) as they are shown; `labels` (N,) into `names`; `paths` of the files."""
    tiles = _tiles(images)
    num_columns = math.ceil(math.sqrt(len(tiles)))
    magnified = max(1, round(SHOWN / tiles.shape[1])) * tiles.shape[1]
    x, y = _unit(points)
    data = {
        "x": x,
        "y": y,
        "labels": None if labels is None else labels.tolist(),
        "names": list(names),
        "colours": class_colours(len(names)) or [COLOURS[0]],
        "paths": None if paths is None else list(paths),
        "columns": num_columns,
        "shown": magnified,
    }
    parts = {
        "TITLE": text(title),
        "SUBTITLE": text(subtitle),
        "SHOWN": text(magnified),
        "SPRITE_WIDTH": text(magnified * num_columns),
        "RENDERING": text("pixelated" if tiles.shape[1] < LARGEST_TILE else "auto"),
        "SPRITE": _sprite(tiles, num_columns),
        "DATA": inside_script(data),
    }
    path.write_bytes(
        framed("sslcli-embed", title, title, filled(STYLE, parts), filled(BODY, parts))
    )


def _unit(points: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Into [0, 1], both axes by one scale, y downward as on a page."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    unit = (points - (low + high) / 2) / extent + 0.5
    return [round(float(x), 4) for x in unit[:, 0]], [round(1 - float(y), 4) for y in unit[:, 1]]


def _tiles(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, H, W, C) -> (N, S, S, 3), S at most LARGEST_TILE."""
    from PIL import Image

    coloured = images.repeat(3, axis=3) if images.shape[3] == 1 else images
    if images.shape[1] <= LARGEST_TILE:
        return coloured
    size = (LARGEST_TILE, LARGEST_TILE)
    return np.stack(
        [
            np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
            for picture in coloured
        ]
    )


def _sprite(tiles: NDArray[np.uint8], num_columns: int) -> Html:
    """All tiles as one picture, row by row, in a data URI: PNG, or JPEG where there is much of it."""
    from PIL import Image

    num, side = len(tiles), tiles.shape[1]
    num_rows = math.ceil(num / num_columns)
    cells = np.zeros((num_rows * num_columns, side, side, 3), np.uint8)
    cells[:num] = tiles
    sheet = (
        cells.reshape(num_rows, num_columns, side, side, 3)
        .swapaxes(1, 2)
        .reshape(num_rows * side, -1, 3)
    )
    # JPEG's blocks are 16 pixels: a tile of 48 shares none with its neighbours.
    kind = "JPEG" if side == LARGEST_TILE else "PNG"
    content = io.BytesIO()
    Image.fromarray(sheet).save(
        content, kind, **({"quality": 88} if kind == "JPEG" else {"optimize": False})
    )
    return picture_uri(content.getvalue(), kind.lower())
