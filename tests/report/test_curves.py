"""Records as curves, their running mean, and axes that show a constant as one."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from sslcli.report.charts import draw_curves
from sslcli.report.curves import curves_of, is_number, running_mean, y_limits
from sslcli.report.families import Line
from sslcli.report.figures import save_curves
from sslcli.report.run_curves import save_run_curves

CONSTANT = [{"phase": "a", "step": s, "epoch": s, "learning_rate": 0.3} for s in (1, 2, 3)]


def test_records_become_curves_by_metric_and_phase() -> None:
    records = [
        {"phase": "a", "step": 1, "epoch": 0.5, "rank": 3, "timing": {"seconds": 1.0}},
        {"phase": "a", "step": 2, "epoch": 1.0, "rank": math.nan, "loss": 2.0, "best": True},
        {"phase": "b", "step": 3, "epoch": 0.5, "loss": 1.0, "collapsed": 1.0},
        {"step": 4, "loss": 0.5},
    ]
    curves = curves_of(records)
    assert list(curves) == ["loss", "rank"]
    assert [(phase, *map(list, curve)) for phase, curve in curves["loss"].items()] == [
        ("a", [1.0], [2.0]),
        ("b", [0.5], [1.0]),
    ]
    by_step = curves_of(records, "step")["loss"]
    assert [list(curve.x) for curve in by_step.values()] == [[2.0], [3.0], [4.0]]
    assert curves_of([]) == {}


def test_the_running_mean_is_that_of_the_points_around() -> None:
    y = np.random.default_rng(0).normal(size=400)
    around = [y[max(0, index - 5) : index + 6].mean() for index in range(len(y))]
    np.testing.assert_allclose(running_mean(y), around)


@pytest.mark.parametrize(
    ("metric", "values", "limits"),
    [
        ("learning_rate", [0.3, 0.3, 0.3 + 1e-9], (0.0, 0.33)),
        ("uniformity", [-2.0, -2.0], (-2.2, 0.0)),
        ("loss", [0.0, 0.0], (-0.05, 1.0)),
        ("loss", [0.7], (0.0, 0.77)),
        ("loss", [0.3, 0.4], None),
        ("effective_rank", [30.0, 40.0], (0.0, 44.0)),
    ],
)
def test_a_constant_is_drawn_from_zero(
    metric: str, values: list[float], limits: tuple[float, float] | None
) -> None:
    assert y_limits(metric, [np.array([value]) for value in values]) == pytest.approx(limits)


def test_every_figure_draws_a_constant_from_zero(tmp_path: Path, drawn: list[Figure]) -> None:
    save_curves(tmp_path / "curves.png", CONSTANT)
    save_run_curves(tmp_path / "runs.png", {"A": [CONSTANT]}, ["learning_rate"])
    limits = [axes.get_ylim() for figure in drawn for axes in figure.axes]
    lines = {"learning_rate": [Line("", np.ones(2), np.full(2, 0.3))]}
    for low, high in [*limits, draw_curves(lines).layout.yaxis.range]:
        assert (low, high) == pytest.approx((0, 0.33))
    assert len(limits) == 2


def test_numbers_that_can_be_drawn() -> None:
    values = [1, 0.5, True, math.inf, math.nan, "1", None, [1]]
    assert [value for value in values if is_number(value)] == [1, 0.5]


def test_no_panels_labels_reach_another_or_the_edge(tmp_path: Path, drawn: list[Figure]) -> None:
    """Of numbers as long as can be: of four phases, whose names stand below."""
    values = {
        "loss": -98765 * (1 + 1.5e-6 * np.linspace(0, 1, 30)),
        "accuracy": 0.99999 - 1e-5 * np.linspace(0, 1, 30),
        "tiny": 1e-12 * np.linspace(-1, 1, 30),
        "large": 1e12 * (1 + 3e-6 * np.linspace(0, 1, 30)),
        "others": 22.123456 - 1e-4 * np.linspace(0, 1, 30),
    }
    save_curves(
        tmp_path / "curves.png",
        [
            {"phase": f"layer {phase}", "step": step, "epoch": float(step), **of_step}
            for phase in range(4)
            for step, *numbers in zip(range(30), *values.values(), strict=True)
            for of_step in [dict(zip(values, numbers, strict=True))]
        ],
    )
    drawn[0].draw_without_rendering()
    boxes = [part.get_tightbbox() for part in [*drawn[0].axes, *drawn[0].legends]]
    assert len(boxes) == len(values) + 1
    width, height = drawn[0].bbox.size
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_a_long_title_leaves_its_value_room(tmp_path: Path, drawn: list[Figure]) -> None:
    name = "wide mean of what was never measured before"
    save_curves(
        tmp_path / "curves.png", [{"step": 1, "epoch": 1.0, "phase": "a", name: -1.2345e-77}]
    )
    drawn[0].draw_without_rendering()
    (axes,) = drawn[0].axes
    title, value = (
        next(text for text in axes.findobj(Text) if text.get_text().startswith(start))
        for start in ("wide", "-1.23")
    )
    assert not title.get_window_extent().overlaps(value.get_window_extent())
