"""The page of a sweep: what varies, and what is best."""

from __future__ import annotations

import re
from pathlib import Path

from doubles import Sslcli
from reported import Page, make_run, make_sweep


def test_a_sweep_is_compared(sslcli: Sslcli, tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep")
    make_run(
        sweep / "006-12345678",
        config={"method": {"temperature": 9}},
        status="failed",
        error="boom",
        metrics={},
    )
    make_run(sweep / "005-12345678")
    (sweep / "005-12345678" / "config.yaml").unlink()
    assert sslcli("report", "sweep").status == 0
    page = Page(sweep / "report.html")
    for said in (
        *("6 runs: 5 finished, 1 failed", "006-12345678: failed: boom", "005-12345678: no config"),
        *(
            "seed=5: refused: must be positive",
            "0.8 ± 0.014",
            "0.63 ± 0.028",
            "knn accuracy (chosen by)",
        ),
        "sslcli pretrain epochs=2 method.temperature=0.1,0.5 seed=0,1",
    ):
        assert said in page.text, said
    (best,) = re.findall('<tr class="best">(.*?)</tr>', (sweep / "report.html").read_text())
    assert ">0.5<" in best  # by validation; top1, of test, would choose the other
    against, training, validation = page.charts
    assert against["data"][0]["x"] == [0.1, 0.1, 0.5, 0.5]
    assert against["data"][0]["y"] == [0.61, 0.65, 0.81, 0.79]
    assert len(training["data"]) == 5
    assert (
        len({trace["line"]["color"] for trace in validation["data"]}) == 3
    )  # repetitions share theirs


def test_without_repetitions_the_best_run_is_marked(sslcli: Sslcli, tmp_path: Path) -> None:
    for name, error in (("a", 0.3), ("b", 0.2)):
        chosen_by = {"metric": "val_error", "larger_is_better": False}
        make_run(
            tmp_path / "runs" / name,
            config={"width": name},
            metrics={"val_error": error},
            validation=chosen_by,
        )
    assert sslcli("report", "runs").status == 0
    (best,) = re.findall(
        '<tr class="best">(.*?)</tr>', (tmp_path / "runs" / "report.html").read_text()
    )
    assert best.startswith("<td>b</td>")
    assert "Settings\n" not in Page(tmp_path / "runs" / "report.html").text
