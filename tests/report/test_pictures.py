"""Pictures beside each other, filters, strips: what stands on the sheet, pixel for pixel. A warning would fail a test."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from doubles import contains, pixels
from numpy.typing import NDArray

from sslcli.data.sample import FILE
from sslcli.report.pictures import save_filters, save_grid, save_strips
from sslcli.report.sheet import text_width


@pytest.fixture(scope="module")
def clothes() -> NDArray[np.uint8]:
    with np.load(FILE) as arrays:
        images: NDArray[np.uint8] = arrays["x_test"][::167].reshape(-1, 28, 28, 1)
    return images


def magnified(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    coloured = np.broadcast_to(picture, (*picture.shape[:2], 3))
    return coloured.repeat(factor, axis=0).repeat(factor, axis=1)


def test_a_grid_shows_a_picture_in_a_row(tmp_path: Path, clothes: NDArray[np.uint8]):
    corrupted = np.where(np.random.default_rng(0).random(clothes.shape) < 0.3, 0, clothes).astype(
        np.uint8
    )
    save_grid(
        tmp_path / "grid.png", {"clean": clothes, "corrupted": corrupted, "restored": 255 - clothes}
    )
    sheet = pixels(tmp_path / "grid.png")
    for index in (0, 7, len(clothes) - 1):
        row = np.full((84, 3 * 84 + 2 * 4, 3), 255, np.uint8)
        for column, pictures in enumerate((clothes, corrupted, 255 - clothes)):
            row[:, column * 88 : column * 88 + 84] = magnified(pictures[index], 3)
        assert contains(sheet, row)
    assert 1 <= sheet.shape[1] / sheet.shape[0] < 2.5
    assert (sheet[:10] == 255).all()
    assert (sheet[16:36].min(axis=(0, 2)) < 200).any()  # the headings


def test_a_grid_of_colours_that_are_not_square(tmp_path: Path):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3), dtype=np.uint8)
    save_grid(tmp_path / "grid.png", {"a": pictures, "b": 255 - pictures})
    sheet = pixels(tmp_path / "grid.png")
    assert all(contains(sheet, magnified(picture, 7)) for picture in (*pictures, *(255 - pictures)))


def test_a_picture_is_never_narrower_than_its_heading(tmp_path: Path, clothes: NDArray[np.uint8]):
    name = "a name of 24 characters!"
    save_grid(tmp_path / "grid.png", {name: clothes[:2], "猫 $x$ $y": clothes[2:4]})
    factor = -(-text_width(name) // 28)
    assert factor > 3
    assert contains(pixels(tmp_path / "grid.png"), magnified(clothes[0], int(factor)))


@pytest.mark.parametrize(
    "columns", [{}, {"a": np.zeros((2, 8, 8, 1), np.uint8), "b": np.zeros((3, 8, 8, 1), np.uint8)}]
)
def test_columns_of_other_pictures_are_refused(
    tmp_path: Path, columns: dict[str, NDArray[np.uint8]]
):
    with pytest.raises(AssertionError, match="same pictures"):
        save_grid(tmp_path / "grid.png", columns)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_filter_is_scaled_around_grey_to_its_own_largest_weight(tmp_path: Path, channels: int):
    filters = np.zeros((3, 2, 2, channels), np.float32)
    filters[0, 0, 0], filters[0, 1, 1] = 1e-6, -0.5e-6
    filters[1, 0, 1], filters[1, 1, 0] = -800, 400
    save_filters(tmp_path / "filters.png", filters)
    sheet = pixels(tmp_path / "filters.png")
    for tile in ([[255, 128], [128, 64]], [[128, 0], [191, 128]], [[128, 128], [128, 128]]):
        assert contains(sheet, magnified(np.array(tile, np.uint8)[..., None], 30))


def test_the_colours_of_a_filter_share_one_scale(tmp_path: Path):
    filters = np.array([2.0, -1.0, 0.5], np.float32).reshape(1, 1, 1, 3)
    save_filters(tmp_path / "filters.png", filters)
    assert contains(
        pixels(tmp_path / "filters.png"), np.full((60, 60, 3), [255, 64, 159], np.uint8)
    )


def test_of_many_filters_a_hundred_are_shown_from_the_first_to_the_last(tmp_path: Path):
    filters = np.ones((250, 1, 2, 1), np.float32)
    filters[:, 0, 1, 0] = np.linspace(-1, 1, 250)  # left pixel white, the right one tells which
    save_filters(tmp_path / "filters.png", filters)
    sheet = pixels(tmp_path / "filters.png")
    shown = sheet[61::34, 61::64, 0][:10, :10].ravel()  # the middle of every tile's right half
    assert sheet.shape[1] == 2 * 16 + 10 * 60 + 9 * 4
    assert (shown[0], shown[-1]) == (0, 255)
    steps = np.diff(shown.astype(int))
    assert steps.min() >= 2
    assert steps.max() <= 4


@pytest.mark.parametrize(
    ("num_filters", "shape"), [(1, (1, 1)), (7, (2, 4)), (32, (4, 8)), (64, (8, 8))]
)
def test_filters_stand_in_a_good_shape_without_many_holes(
    tmp_path: Path, num_filters: int, shape: tuple[int, int]
):
    save_filters(tmp_path / "filters.png", np.zeros((num_filters, 5, 5, 1), np.float32))
    grey = (pixels(tmp_path / "filters.png") == 128).all(axis=2)
    assert grey.sum() == num_filters * 60 * 60
    assert (grey.any(axis=1).sum(), grey.any(axis=0).sum()) == (shape[0] * 60, shape[1] * 60)


def test_strips_change_from_left_to_right(tmp_path: Path, clothes: NDArray[np.uint8]):
    share = np.linspace(0, 1, 7).reshape(1, 7, 1, 1, 1)
    strips = (clothes[:3, None] * (1 - share) + clothes[3:6, None] * share).astype(np.uint8)
    names = [f"direction {row + 1} (23 % of variance)" for row in range(3)]
    save_strips(tmp_path / "strips.png", strips, names, "principal directions", ("−3 σ", "+3 σ"))
    sheet = pixels(tmp_path / "strips.png")
    for strip in strips:
        row = np.full((84, 7 * 84 + 6 * 4, 3), 255, np.uint8)
        for column, picture in enumerate(strip):
            row[:, column * 88 : column * 88 + 84] = magnified(picture, 3)
        assert contains(sheet, row)
    words_width = sheet.shape[1] - row.shape[1]
    assert words_width > text_width(names[0])
    beside = sheet[60:, : words_width - 26].min(axis=2) < 200
    assert beside.any()
    assert not beside[:, :15].any()  # the margin


def test_names_and_ends_are_optional_and_a_long_title_widens_the_sheet(tmp_path: Path):
    strips = np.zeros((1, 2, 8, 8, 1), np.uint8)
    save_strips(tmp_path / "narrow.png", strips, [""], "", ("", ""))
    save_strips(
        tmp_path / "wide.png",
        strips,
        [""],
        "a title that is longer than two pictures are wide",
        ("", ""),
    )
    narrow, wide = pixels(tmp_path / "narrow.png"), pixels(tmp_path / "wide.png")
    assert narrow.shape[1] == 2 * 16 + 2 * 80 + 4  # 84 / 8 is rounded to 10
    assert wide.shape[1] > 250
    assert (wide[:, -15:] == 255).all()


def test_the_words_of_both_ends_fit_over_a_short_strip(tmp_path: Path):
    save_strips(
        tmp_path / "strips.png",
        np.zeros((1, 1, 28, 28, 1), np.uint8),
        [""],
        "",
        ("first picture", "second one"),
    )
    assert pixels(tmp_path / "strips.png").shape[1] > 2 * 16 + text_width(
        "first picture"
    ) + text_width("second one")


def test_pyplot_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    save_grid(tmp_path / "grid.png", {"clean": np.zeros((2, 8, 8, 3), np.uint8)})
    save_filters(tmp_path / "filters.png", np.zeros((2, 8, 8, 3), np.float32))
    save_strips(
        tmp_path / "strips.png", np.zeros((1, 2, 8, 8, 3), np.uint8), ["a"], "b", ("c", "d")
    )


def test_every_strip_needs_a_name(tmp_path: Path):
    with pytest.raises(AssertionError, match="1 names of 2 strips"):
        save_strips(
            tmp_path / "strips.png", np.zeros((2, 2, 8, 8, 1), np.uint8), ["a"], "b", ("c", "d")
        )
