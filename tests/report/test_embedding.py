"""The map of features as PNG and as a page: what is on it, that it needs nothing else, and that names are only names."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslcli.report.embedding import class_colours, class_names, save_map
from sslcli.report.page import LARGEST_TILE, save_page

HOSTILE = "</script><script>alert('@DATA@')</script>\u2028\"&$x$"
RNG = np.random.default_rng(0)


def points(count: int) -> Any:
    return RNG.normal(size=(count, 2)).astype(np.float32)


def page_of(
    folder: Path,
    images: Any,
    labels: Any = None,
    names: Any = (),
    paths: Any = None,
    at: Any = None,
) -> str:
    at = points(len(images)) if at is None else at
    save_page(folder / "map.html", at, images, labels, names, paths, f"PCA of {HOSTILE}", HOSTILE)
    return (folder / "map.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1][0] if self.tags else ""
        self.texts[tag] = self.texts.get(tag, "") + data


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'id="data">(.*?)</script>', page, flags=re.DOTALL)
    return dict(json.loads(text))


def sprite_of(page: str) -> Any:
    ((kind, content),) = re.findall(r"url\(data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)\)", page)
    with Image.open(io.BytesIO(base64.b64decode(content))) as sprite:
        assert sprite.format == kind.upper()
        return np.asarray(sprite)


def test_hostile_names_are_text(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    page = page_of(
        tmp_path,
        images,
        np.array([0, 1, 0, 1]),
        ["dark", HOSTILE],
        [HOSTILE, "a", "\udcff.png", "b"],
    )
    read = Reader(page)
    assert [tag for tag, _ in read.tags].count("script") == 2
    assert read.texts["h1"].strip() == f"PCA of {HOSTILE}"
    assert data_of(page)["names"] == ["dark", HOSTILE]
    assert data_of(page)["paths"] == [HOSTILE, "a", "\udcff.png", "b"]


def test_the_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    page = page_of(tmp_path, RNG.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8))
    assert "http:" not in page
    assert "https:" not in page
    read = Reader(page)
    assert not [
        tag
        for tag, given in read.tags
        if "src" in given or "href" in given or tag in ("link", "img")
    ]
    (policy,) = (
        given["content"]
        for _, given in read.tags
        if given.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    assert not re.findall(
        r"@[A-Z_]+@", page.replace("@DATA@", "")
    )  # nothing left to fill in but what the names hold


@pytest.mark.parametrize("channels", [1, 3])
def test_every_picture_stands_where_the_script_looks_for_it(tmp_path: Path, channels: int) -> None:
    images = RNG.integers(0, 256, (7, 10, 10, channels), dtype=np.uint8)
    page = page_of(tmp_path, images)
    columns, sprite = data_of(page)["columns"], sprite_of(page)
    for index, image in enumerate(images):
        top, left = index // columns * 10, index % columns * 10
        np.testing.assert_array_equal(
            sprite[top : top + 10, left : left + 10], np.broadcast_to(image, (10, 10, 3))
        )
    assert data_of(page)["shown"] % 10 == 0


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    images = np.repeat(np.arange(0, 240, 60, dtype=np.uint8), 200 * 200 * 3).reshape(4, 200, 200, 3)
    sprite = sprite_of(page_of(tmp_path, images)).astype(int)
    assert sprite.shape == (2 * LARGEST_TILE, 2 * LARGEST_TILE, 3)
    for index in range(4):
        top, left = index // 2 * LARGEST_TILE, index % 2 * LARGEST_TILE
        assert (
            abs(sprite[top : top + LARGEST_TILE, left : left + LARGEST_TILE] - 60 * index).max()
            <= 3
        )


def test_points_keep_their_shape_and_up_is_up(tmp_path: Path) -> None:
    at = np.array([[0, 0], [4, 0], [4, 2]], dtype=np.float32)
    data = data_of(page_of(tmp_path, np.zeros((3, 8, 8, 1), np.uint8), at=at))
    assert data["x"] == [0, 1, 1]
    assert data["y"] == [0.75, 0.75, 0.25]
    same = data_of(
        page_of(tmp_path, np.zeros((3, 8, 8, 1), np.uint8), at=np.ones((3, 2), np.float32))
    )
    assert same["x"] == [0.5] * 3


@pytest.mark.parametrize("num_classes", [0, 3, 15, 40])
def test_the_map_is_drawn_with_and_without_classes(tmp_path: Path, num_classes: int) -> None:
    labels = np.arange(50) % num_classes if num_classes else None
    names = [f"{HOSTILE}{index}" for index in range(num_classes)]
    save_map(tmp_path / "map.png", points(50), labels, names, HOSTILE)
    with Image.open(tmp_path / "map.png") as figure:
        colours = {colour for _, colour in figure.convert("RGB").getcolors(10**6)}
    assert len(colours) > 10


def test_every_class_has_a_colour_of_its_own() -> None:
    for count in (1, 10, 11, 100):
        colours = class_colours(count)
        assert len(set(colours)) == count
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)


def test_names_of_classes() -> None:
    labels = np.array([0, 2, 1])
    assert class_names(None, ("a", "b")) == []
    assert class_names(labels, None) == ["0", "1", "2"]
    assert class_names(labels, ("a", "b", "c", "d")) == ["a", "b", "c", "d"]
