"""Every part of a page escapes its text, and pages are recognised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from reported import HOSTILE

from sslcli.report import html_page
from sslcli.report.charts import draw_curves
from sslcli.report.families import Line
from sslcli.report.frame import written_about


def test_a_page_of_an_older_version_is_recognised(tmp_path: Path) -> None:
    page = b'<meta name="sslcli-report" content="a/&lt;b&gt;&quot;&#x27;/c">'
    assert written_about(page, html_page.ORIGIN) == "a/<b>\"'/c"
    assert written_about(html_page.page("a/<b>\"'&", "", []), html_page.ORIGIN) == "a/<b>\"'&"
    assert written_about(page, "sslcli-embed") is None


def test_every_part_escapes_its_text() -> None:
    parts = [
        html_page.section(HOSTILE, html_page.paragraph(HOSTILE)),
        html_page.folded(HOSTILE, html_page.notes([HOSTILE])),
        html_page.tiles([(HOSTILE, HOSTILE)]),
        html_page.table([HOSTILE], [[HOSTILE], [(HOSTILE, HOSTILE)]]),
        html_page.searched(HOSTILE, html_page.joined([])),
        html_page.commands([(HOSTILE, [HOSTILE])]),
        html_page.chart(draw_curves({HOSTILE: [Line(HOSTILE, np.ones(1), np.ones(1))]}), HOSTILE),
    ]
    for part in parts:
        assert "<img" not in part
        assert part.count("<script") == part.count("</script>") == ("chart" in part)
        assert '"<b>' not in part
