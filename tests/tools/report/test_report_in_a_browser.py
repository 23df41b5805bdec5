"""Reports as a browser shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import Opened, colours, overflow
from doubles import Sslcli
from reported import HOSTILE, hostile_run, make_run, make_sweep

DARK_TICKS = """() => { const ticks = [...document.querySelectorAll(".chart .xtick text")];
  return ticks.length && ticks.every(tick => getComputedStyle(tick).fill === "rgb(243, 244, 246)"); }"""


@pytest.mark.slow
def test_the_page_of_a_run_in_a_browser(sslcli: Sslcli, tmp_path: Path, opened: Opened) -> None:
    run = hostile_run(tmp_path)
    assert sslcli("report", str(run), "--output", "page.html").status == 0
    with opened(tmp_path / "page.html") as page:
        assert HOSTILE in page.inner_text("h1")
        assert page.locator(".chart .main-svg").first.is_visible()
        assert page.evaluate(
            "[...document.querySelectorAll('.chart')].every(one => one.querySelector('svg'))"
        )
        assert page.locator(".chart").count() == 5
        buttons = page.eval_on_selector_all(
            "[data-title]", "all => all.map(one => one.dataset.title)"
        )
        assert "Zoom" in buttons
        assert not [title for title in buttons if re.search("(?i)share|cloud|edit|plotly", title)]
        page.get_by_text("Config", exact=True).click()
        rows = page.locator("details[open] tbody tr:visible")
        assert rows.count() > 3
        page.get_by_placeholder("search the settings").fill("TEMPER")
        assert rows.all_inner_texts() == ["method.temperature\t0.5"]
        assert max(colours(page, ".chart .xtick text")) < 100
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(DARK_TICKS)  # charts change while they are looked at
    with opened(tmp_path / "page.html", width=360, scheme="dark") as page:
        assert overflow(page) == 0
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert overflow(page) == 0
        assert min(colours(page, "h1, h2, td, .chart .ytick text")) > 150
        assert (
            page.evaluate(
                "Math.max(...[...document.querySelectorAll('.chart svg')].map(one => one.clientWidth))"
            )
            <= 360
        )


@pytest.mark.slow
def test_the_table_of_a_sweep_is_sorted_by_a_click(
    sslcli: Sslcli, tmp_path: Path, opened: Opened
) -> None:
    sweep = make_sweep(tmp_path / "sweep")
    make_run(
        sweep / "004-12345678", status="failed", metrics={}, validation=None
    )  # no accuracy: below, either way
    assert sslcli("report", "sweep").status == 0
    with opened(sweep / "report.html") as page:
        table = page.locator(
            "section", has=page.get_by_role("heading", name="Runs", exact=True)
        ).locator("table")
        head = table.get_by_role("button", name="knn accuracy")
        column = 1 + table.locator("th button").all_inner_texts().index("knn accuracy (chosen by)")
        cells = table.locator(f"tbody td:nth-child({column})")
        head.click()
        assert cells.all_inner_texts() == ["0.61", "0.65", "0.79", "0.81", ""]
        head.click()
        assert cells.all_inner_texts() == ["0.81", "0.79", "0.65", "0.61", ""]
        table.get_by_role("button", name="run").click()
        assert table.locator("tbody td:first-child").all_inner_texts()[0].startswith("000")
    with opened(sweep / "report.html", width=360) as page:
        assert overflow(page) == 0
