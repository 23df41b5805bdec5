"""Pretrainings over depth: the cells of the table, and that the figure shows means, seeds and bars. Warnings fail."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from doubles import pixels
from numpy.typing import NDArray

from sslcli.report.comparison import comparison_columns, comparison_rows, save_depth_comparison

BLUE, ORANGE, GREEN = (37, 99, 235), (217, 119, 6), (5, 150, 105)


def results(
    num_seeds: int, depths: tuple[int, ...] = (1, 2, 3)
) -> list[tuple[str, int, int, float]]:
    names = {"none": 2.0, "autoencoder": 1.6, "denoising": 1.4}
    return [
        (name, depth, seed, error + 0.3 * depth * (name == "none") + 0.1 * seed)
        for seed in range(num_seeds)
        for name, error in names.items()
        for depth in depths
    ]


def area(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    """Pixels that are about of the colour."""
    return int((np.abs(picture.astype(int) - colour).max(axis=2) < 30).sum())


def blue_of_the_plot(path: Path) -> NDArray[np.bool_]:
    """Where the first line is; the plot ends where the grid's lines do, the legend stands to the right."""
    picture = pixels(path).astype(int)
    grid = (np.abs(picture - (229, 231, 235)).max(axis=2) < 3).sum(axis=0) > 3
    return np.abs(picture[:, : np.nonzero(grid)[0].max()] - BLUE).max(axis=2) < 30


def test_cells_hold_mean_and_standard_deviation_over_seeds():
    rows = [
        ("none", 2, 0, 3.0),
        ("none", 1, 0, 2.0),
        ("dae", 1, 0, 1.234),
        ("none", 2, 1, 4.0),
        ("none", 2, 2, 5.0),
    ]
    assert comparison_columns(rows) == ("pretraining", "depth 1", "depth 2")
    assert comparison_rows(rows) == [("none", "2.00", "4.00 ± 1.00"), ("dae", "1.23", "–")]


def test_columns_follow_depth_and_rows_the_order_of_appearance():
    rows = [("b", 10, 0, 1.0), ("a", 2, 0, 2.0), ("b", 2, 0, 3.0), ("a", 10, 0, 4.0)]
    assert comparison_columns(rows) == ("pretraining", "depth 2", "depth 10")
    assert comparison_rows(rows) == [("b", "3.00", "1.00"), ("a", "2.00", "4.00")]


def test_every_pretraining_gets_a_line_over_depth(tmp_path: Path):
    save_depth_comparison(tmp_path / "lines.png", results(1))
    save_depth_comparison(tmp_path / "one.png", [row for row in results(1) if row[0] == "none"])
    lines, one = pixels(tmp_path / "lines.png"), pixels(tmp_path / "one.png")
    assert min(area(lines, BLUE), area(lines, ORANGE), area(lines, GREEN)) > 200
    assert area(one, BLUE) > 200
    assert area(one, ORANGE) == 0


def test_a_worse_error_stands_higher_and_a_greater_depth_further_right(tmp_path: Path):
    save_depth_comparison(
        tmp_path / "lines.png", [("a", 1, 0, 2.0), ("a", 3, 0, 8.0), ("a", 2, 0, 4.0)]
    )
    rows, columns = np.nonzero(blue_of_the_plot(tmp_path / "lines.png"))
    assert rows[columns < columns.min() + 6].mean() > rows[columns > columns.max() - 6].mean() + 150


def test_points_stand_at_their_depths(tmp_path: Path):
    save_depth_comparison(tmp_path / "lines.png", [("a", depth, 0, 3.0) for depth in (1, 2, 5)])
    (columns,) = np.nonzero(
        blue_of_the_plot(tmp_path / "lines.png").sum(axis=0) > 6
    )  # the markers are thicker than the line
    first, second, third = (
        part.mean() for part in np.split(columns, np.nonzero(np.diff(columns) > 1)[0] + 1)
    )
    assert (second - first) / (third - first) == pytest.approx(1 / 4, abs=0.02)


def test_the_order_of_depths_and_seeds_does_not_matter(tmp_path: Path):
    save_depth_comparison(
        tmp_path / "a.png", [("a", 1, 0, 2.0), ("a", 2, 0, 8.0), ("a", 2, 1, 9.0), ("a", 3, 0, 4.0)]
    )
    save_depth_comparison(
        tmp_path / "b.png", [("a", 2, 1, 9.0), ("a", 3, 0, 4.0), ("a", 1, 0, 2.0), ("a", 2, 0, 8.0)]
    )
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_several_seeds_add_bars_and_dots(tmp_path: Path):
    def blue_height(*errors: float) -> int:
        rows = [
            ("none", depth, seed, error) for seed, error in enumerate(errors) for depth in (1, 2)
        ]
        save_depth_comparison(
            tmp_path / "figure.png", [*rows, ("other", 1, 0, 0.0), ("other", 2, 0, 10.0)]
        )
        return int(np.ptp(np.nonzero(blue_of_the_plot(tmp_path / "figure.png"))[0]))

    assert blue_height(5.0) < 15
    assert blue_height(4.9, 5.1) < 30
    assert (
        blue_height(3.0, 7.0) > 120
    )  # five percent's bar of 2 * 2.83 is more than half of the axis


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_one_depth_is_drawn_as_points(tmp_path: Path, num_seeds: int):
    save_depth_comparison(tmp_path / "points.png", results(num_seeds, depths=(3,)))
    picture = pixels(tmp_path / "points.png")
    centres = []
    for colour in (BLUE, ORANGE, GREEN):
        columns = np.nonzero(np.abs(picture.astype(int) - colour).max(axis=2) < 30)[1]
        assert 0 < np.ptp(columns) < 20  # a marker, not a line
        centres.append(columns.mean())
    assert np.diff(centres) == pytest.approx(np.diff(centres)[0], abs=2)
    assert np.diff(centres)[0] > 50


def test_names_no_font_has_many_lines_missing_depths_and_equal_errors(tmp_path: Path):
    rows = [
        (f"猫 $x$ {index}", depth, seed, 1.0)
        for index in range(9)
        for depth in (1, 5)
        for seed in range(index % 3 + 1)
    ]
    save_depth_comparison(tmp_path / "a.png", rows[:-3], ylabel="validation error [%]")
    save_depth_comparison(tmp_path / "b.png", [row for row in rows if row[1] == 5])
    assert pixels(tmp_path / "a.png").shape[1] == 600
    assert pixels(tmp_path / "b.png").shape[1] > 900


def test_nothing_to_compare_is_refused(tmp_path: Path):
    with pytest.raises(AssertionError, match="nothing"):
        save_depth_comparison(tmp_path / "figure.png", [])


def test_pyplot_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    save_depth_comparison(tmp_path / "figure.png", results(2))
