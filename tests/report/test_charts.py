"""Charts as plotly gets them: thinned without losing extremes, by family, with names that are no markup."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sslcli.report.charts import draw_confusion, draw_curves, draw_settings
from sslcli.report.curves import running_mean
from sslcli.report.families import PANEL_POINTS, Line, curves_by_family, smooth, thin


@pytest.mark.parametrize("num", [1, 2, 99, 100, 101, 10_000])
def test_thinned_curves_keep_ends_and_extremes(num: int) -> None:
    x = np.arange(num, dtype=np.float64)
    y = np.random.default_rng(0).normal(size=num)
    few_x, few_y = thin(x, y, 100)
    assert len(few_x) <= 102
    assert (few_x[0], few_x[-1]) == (0, num - 1)
    assert (few_y.min(), few_y.max()) == (y.min(), y.max())
    assert (np.diff(few_x) > 0).all()
    np.testing.assert_array_equal(few_y, y[few_x.astype(int)])
    if num <= 100:
        assert len(few_x) == num


@pytest.mark.parametrize("num", [1, 2, 120, 10_001])
def test_a_smooth_curve_is_the_running_mean_at_some_of_its_points(num: int) -> None:
    x = np.arange(num, dtype=np.float64)
    y = np.random.default_rng(0).normal(size=num)
    few = smooth(Line("a", x, y, 3), 100)
    assert (few.name, few.colour, len(few.x)) == ("a", 3, min(num, 100))
    assert (few.x[0], few.x[-1]) == (0, num - 1)
    np.testing.assert_allclose(few.y, running_mean(y)[few.x.astype(int)], atol=1e-12)


def test_records_become_curves_by_family_and_phase() -> None:
    records = [
        {
            "phase": "a",
            "step": 1,
            "epoch": 0.5,
            "loss": 3.0,
            "rank_accuracy": 0.1,
            "learning_rate": 0.2,
        },
        {
            "phase": "a",
            "step": 2,
            "epoch": 1.0,
            "knn_accuracy": 0.4,
            "effective_rank": 9.0,
            "collapsed": 0.0,
        },
        {
            "phase": "b",
            "step": 1,
            "epoch": 0.5,
            "loss": 2.0,
            "learning_rate": 0.2,
            "timing": {"seconds": 1},
        },
        {"phase": "c", "step": 0, "epoch": 0, "features": "raw", "top1": 0.9},
    ]
    found = curves_by_family(records)
    assert {family: list(panels) for family, panels in found.items()} == {
        "training": ["loss", "rank_accuracy"],
        "validation": ["knn_accuracy"],
        "learning rate": ["learning_rate"],
        "diagnostics": ["effective_rank"],
    }
    assert [(line.name, line.y.tolist()) for line in found["training"]["loss"]] == [
        ("a", [3.0]),
        ("b", [2.0]),
    ]
    assert len({line.colour for line in found["training"]["loss"]}) == 2
    (line,) = curves_by_family(records[:1], "seed=1", 7)["training"]["loss"]
    assert (line.name, line.colour) == ("seed=1", 7)
    assert curves_by_family([]) == curves_by_family(records[3:]) == {}


def test_a_long_curve_is_pale_under_its_mean_and_bounded() -> None:
    x = np.linspace(0, 100, 10_000)
    lines = [Line(f"run {index}", x, np.sin(x) + index) for index in range(20)]
    chart = draw_curves({"loss": lines})
    assert len(chart.data) == 40
    assert sum(len(trace.x) for trace in chart.data) < 2.1 * PANEL_POINTS
    assert all(trace.opacity == 0.35 for trace in chart.data[::2])
    assert all(trace.name and trace.hoverinfo == "skip" for trace in chart.data[1::2])
    assert all(trace.opacity is None and trace.line.width == 2 for trace in chart.data[1::2])
    assert chart.layout.hovermode == "closest"
    assert not chart.layout.showlegend  # 20 names would hide the curves
    json.dumps(chart.to_plotly_json(), allow_nan=False)


def test_panels_lie_one_below_the_other_and_a_name_is_in_the_legend_once() -> None:
    x = np.arange(3.0)
    chart = draw_curves(
        {"loss": [Line("a", x, x), Line("b", x, x)], "accuracy": [Line("b", x, x), Line("c", x, x)]}
    )
    assert [(trace.name, trace.yaxis, trace.showlegend) for trace in chart.data] == [
        ("a", "y", True),
        ("b", "y", True),
        ("b", "y2", False),
        ("c", "y2", True),
    ]
    upper, lower = chart.layout.yaxis.domain, chart.layout.yaxis2.domain
    assert 0 <= lower[0] < lower[1] < upper[0] < upper[1] == 1
    assert chart.layout.xaxis.matches == "x2"  # they are zoomed together
    assert [axis.title.text for axis in chart.select_xaxes()] == [None, "epoch"]


def test_settings_have_the_axis_that_suits_them() -> None:
    settings = {
        "temperature": [0.01, 0.1, 1.0],
        "epochs": [1, 2, 3],
        "method": ["a", None, "<b>"],
        "mixed": [1, "null", 2],
    }
    chart = draw_settings("top1", settings, [0.1, 0.2, 0.3], ["<i>", "y", "z"])
    axes = [axis.type for axis in chart.select_xaxes()]
    assert axes == ["log", "linear", "category", "category"]
    assert chart.layout.xaxis.tickvals == (0.01, 0.1, 1.0)
    assert chart.data[2].x == ("a", "null", "&lt;b&gt;")
    assert chart.data[0].text == ("&lt;i&gt;", "y", "z")


def test_confusion_is_coloured_by_share_and_tells_counts() -> None:
    (heat,) = draw_confusion(np.array([[3, 1], [0, 0]]), ["same", "same"]).data
    assert heat.z == ([75, 25], [0, 0])
    assert heat.customdata == ([3, 1], [0, 0])
    assert len(set(heat.x)) == 2  # plotly would merge classes of one name


def test_a_chart_leaves_colours_of_paper_and_grid_to_the_page() -> None:
    x = np.arange(3.0)
    charts = [
        draw_curves({"loss": [Line("a", x, x)]}),
        draw_settings("top1", {"epochs": [1, 2]}, [0.1, 0.2], ["a", "b"]),
        draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"]),
    ]
    for chart in charts:
        assert not chart.to_plotly_json()["layout"]["template"]
        assert chart.layout.height > 200
