"""Figures: files, sizes, pixels, and names that no font has. A warning would fail the test."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import contains, pixels
from matplotlib.figure import Figure

from sslcli.errors import SslcliError
from sslcli.report.figures import drawable, save_confusion, save_curves, save_views
from sslcli.report.style import MAX_LINES


@pytest.mark.parametrize("channels", [1, 3])
def test_the_sheet_shows_originals_and_views_pixel_for_pixel(tmp_path: Path, channels: int):
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28, channels), dtype=np.uint8)
    mean, std = (0.3,) * channels, (0.4,) * channels
    plain = torch.tensor(images).permute(0, 3, 1, 2) / 255
    views = (torch.stack([plain.flip(3), plain.flip(2)]) - 0.3) / 0.4
    save_views(tmp_path / "views.png", images, views, mean, std)
    sheet = pixels(tmp_path / "views.png")
    for index in (0, 5, 11):
        for shown in (images[index], images[index][:, ::-1], images[index][::-1]):
            magnified = np.broadcast_to(shown, (28, 28, 3)).repeat(3, axis=0).repeat(3, axis=1)
            assert contains(sheet, magnified)
    assert 1 < sheet.shape[1] / sheet.shape[0] < 3
    assert (sheet[:5] == 255).all()


def test_views_beyond_white_are_clipped_and_originals_of_another_size_fitted(tmp_path: Path):
    images = np.full((2, 10, 10, 1), 128, np.uint8)
    views = torch.stack([torch.full((2, 1, 40, 40), -9.0), torch.full((2, 1, 40, 40), 9.0)])
    save_views(tmp_path / "views.png", images, views, (0.5,), (0.5,))
    sheet = pixels(tmp_path / "views.png")
    for value in (0, 128):
        assert contains(sheet, np.full((80, 80, 3), value, np.uint8))


def test_small_views_stand_in_the_middle_of_their_cells(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    plain = torch.tensor(images).permute(0, 3, 1, 2) / 255
    views = [plain, plain[:, :, 8:20, 8:20], plain[:, :, :13, :13]]
    save_views(tmp_path / "views.png", images, views, (0.0,), (1.0,))
    sheet = pixels(tmp_path / "views.png")
    for rows, margins in ((slice(8, 20), (8, 8)), (slice(0, 13), (7, 8))):
        small = np.broadcast_to(images[1][rows, rows], (rows.stop - rows.start,) * 2 + (3,))
        cell = np.pad(small, (margins, margins, (0, 0)), constant_values=255)
        assert contains(sheet, cell.repeat(3, axis=0).repeat(3, axis=1))


def test_one_picture_makes_a_sheet(tmp_path: Path):
    save_views(
        tmp_path / "views.png",
        np.zeros((1, 8, 8, 1), np.uint8),
        torch.zeros(2, 1, 1, 8, 8),
        (0.0,),
        (1.0,),
    )
    assert pixels(tmp_path / "views.png").shape[1] > 240


def training(num_records: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for step in range(1, num_records + 1):
        record = {
            "phase": "pretrain",
            "step": step,
            "epoch": step / 10,
            "loss": 1 / step,
            "learning_rate": 0.1,
        }
        records.append({**record, "timing": {"images_per_second": 100.0}})
        if step % 10 == 0:
            records.append(
                {
                    "phase": "pretrain",
                    "step": step,
                    "epoch": step / 10,
                    "knn_accuracy": 0.5,
                    "timing": {},
                }
            )
    return records


@pytest.mark.parametrize("num_records", [1, 40, 400])
def test_curves_are_drawn_for_few_and_many_records(tmp_path: Path, num_records: int):
    save_curves(tmp_path / "curves.png", training(num_records))
    picture = pixels(tmp_path / "curves.png")
    assert picture.shape[1] == (
        960 if num_records == 1 else 1440
    )  # a panel for every metric: two, then three
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 100
    assert blue.sum() > 10


def test_values_that_are_no_curve_are_left_out(tmp_path: Path):
    records = [
        {
            "step": step,
            "epoch": 0,
            "loss": loss,
            "features": "raw_pixels",
            "best": True,
            "collapsed": 0.0,
            "rank": None,
        }
        for step, loss in enumerate([3.0, float("nan"), float("inf"), 2.0])
    ]
    save_curves(tmp_path / "curves.png", records)
    assert pixels(tmp_path / "curves.png").shape[1] == 480


def test_a_value_that_is_no_number_leaves_the_rest_of_a_long_curve(tmp_path: Path):
    records = training(400)
    save_curves(tmp_path / "clean.png", records)
    save_curves(
        tmp_path / "curves.png",
        [*records[:99], {**records[99], "loss": float("nan")}, *records[99:]],
    )
    np.testing.assert_array_equal(
        pixels(tmp_path / "curves.png")[:300, :480], pixels(tmp_path / "clean.png")[:300, :480]
    )


def test_every_phase_gets_a_line(tmp_path: Path):
    records = [
        {"phase": phase, "step": s, "loss": s + i}
        for i, phase in enumerate(["layer_1", "层"])
        for s in range(9)
    ]
    save_curves(tmp_path / "curves.png", records)
    picture = pixels(tmp_path / "curves.png").reshape(-1, 3).astype(int)
    for colour in ([37, 99, 235], [217, 119, 6]):
        assert (np.abs(picture - colour).max(axis=1) < 4).sum() > 100


@pytest.mark.parametrize(("num_phases", "num_named"), [(1, 0), (20, 20), (MAX_LINES + 1, 0)])
def test_names_of_many_phases_hide_no_curve(
    tmp_path: Path, drawn: list[Figure], num_phases: int, num_named: int
):
    records = [
        {"phase": f"layer-{i}", "epoch": e, "loss": i, "rank": i}
        for i in range(num_phases)
        for e in range(2)
    ]
    save_curves(tmp_path / "curves.png", records)
    (figure,) = drawn
    figure.draw_without_rendering()
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    assert len(texts) == num_named
    for axes in figure.axes:
        assert axes.get_legend() is None
        assert not any(
            axes.get_tightbbox().overlaps(legend.get_window_extent()) for legend in figure.legends
        )
        lines = axes.get_lines()
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == min(
            num_phases, MAX_LINES
        )


def test_nothing_to_draw_is_an_error(tmp_path: Path):
    with pytest.raises(SslcliError, match="no metrics"):
        save_curves(tmp_path / "curves.png", [{"step": 1, "epoch": 0.1, "timing": {}}])


def test_confusion_counts_stand_in_the_csv(tmp_path: Path):
    matrix = np.array([[8, 2], [0, 5]])
    save_confusion(
        tmp_path / "confusion.png", tmp_path / "confusion.csv", matrix, ("naïve, cat", "猫")
    )
    with (tmp_path / "confusion.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["true \\ predicted", "naïve, cat", "猫"],
        ["naïve, cat", "8", "2"],
        ["猫", "0", "5"],
    ]


def test_confusion_is_darkest_where_a_whole_class_goes(tmp_path: Path):
    matrix = np.array([[1, 0], [500, 500]])
    save_confusion(tmp_path / "confusion.png", tmp_path / "confusion.csv", matrix, ("a", "b"))
    picture = pixels(tmp_path / "confusion.png").reshape(-1, 3)
    values, counts = np.unique(picture, axis=0, return_counts=True)
    area = {
        tuple(int(v) for v in value): int(count)
        for value, count in zip(values, counts, strict=True)
    }
    full, half = (
        area[(8, 48, 107)],
        max(n for colour, n in area.items() if 90 < colour[0] < 120 and colour[2] > 190),
    )
    assert half == pytest.approx(2 * full, rel=0.1)


@pytest.mark.parametrize("num_classes", [1, 21, 70])
def test_confusion_of_any_number_of_classes_and_of_classes_without_pictures(
    tmp_path: Path, num_classes: int
):
    classes = [f"class {index} $x$ \t" + "y" * index for index in range(num_classes)]
    matrix = np.zeros((num_classes, num_classes), np.int64)
    save_confusion(tmp_path / "confusion.png", tmp_path / "confusion.csv", matrix, classes)
    assert min(pixels(tmp_path / "confusion.png").shape[:2]) > 200


def test_names_are_drawable():
    assert drawable("Größe") == "Größe"
    assert drawable("猫\n1") == "??1"
    assert drawable("x" * 30) == "x" * 23 + "…"
    assert drawable("$1 to $2") == r"\$1 to \$2"


def test_pyplot_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    save_curves(tmp_path / "curves.png", training(3))
    save_confusion(
        tmp_path / "confusion.png",
        tmp_path / "confusion.csv",
        np.eye(2, dtype=np.int64),
        ("a", "b"),
    )
