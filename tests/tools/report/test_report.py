"""`sslcli report`: which folders it takes, and what it writes and replaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doubles import TINY, Sslcli, only_run
from PIL import Image
from reported import Page, make_run

from sslcli.report import html_page


@pytest.mark.slow
def test_a_real_run_and_its_evaluation(sslcli: Sslcli, tmp_path: Path) -> None:
    assert sslcli("pretrain", *TINY).status == 0
    run = only_run(tmp_path / "outputs")
    assert (
        sslcli(
            "linear-eval",
            "run=last",
            "runtime.threads=1",
            "l2=[1e-3]",
            "labels=2",
            "baselines=false",
        ).status
        == 0
    )
    for name in ("pretrain", "linear-eval"):
        folder = only_run(tmp_path / "outputs" / name)
        outcome = sslcli("report", str(folder))
        assert outcome.status == 0, outcome.err
        assert str(folder / "report.html") in outcome.out
    trained, evaluated = (
        Page(only_run(tmp_path / "outputs" / name) / "report.html")
        for name in ("pretrain", "linear-eval")
    )
    assert "simclr on fashion_sample: pretrain" in trained.text
    assert len(trained.charts) == 4  # training, validation, learning rate, diagnostics
    assert trained.count("img") == 1  # the views; curves are charts
    for said in (
        "method.temperature",
        "environment.packages.torch",
        "sslcli rerun",
        f"linear-eval run={run}",
        "tested_on",
    ):
        assert said in trained.text
    assert "not finished" not in trained.text
    (heat,) = evaluated.charts
    assert heat["data"][0]["type"] == "heatmap"
    assert np.sum(heat["data"][0]["customdata"]) == 2000
    for said in ("trained_encoder", "Confusion matrix", "truncated Newton"):
        assert said in evaluated.text


def test_only_its_own_report_is_replaced(sslcli: Sslcli, tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b")
    for _ in range(2):
        assert sslcli("report", "a", "--output", "pages/page.html").status == 0
    before = Path("pages/page.html").read_bytes()
    refused = sslcli("report", "b", "--output", "pages/page.html")
    assert (refused.status, "exists already" in refused.err) == (2, True)
    Path("notes.html").write_text("mine")
    assert sslcli("report", "a", "--output", "notes.html").status == 2
    assert Path("notes.html").read_text() == "mine"
    assert Path("pages/page.html").read_bytes() == before
    assert sslcli("report", "b", "--output", "pages/page.html", "--force").status == 0
    assert "is a folder" in sslcli("report", "a", "--output", "pages", "--force").err
    assert sslcli("report", "a").status == 0
    Path("a").rename("moved")
    assert sslcli("report", "moved").status == 0


def test_mistakes_are_answered(
    sslcli: Sslcli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    assert "there are no runs in" in sslcli("report", "empty").err
    assert "no run is named 'nothing'" in sslcli("report", "nothing").err
    monkeypatch.setattr(html_page, "find_spec", lambda name: None)
    outcome = sslcli("report", "run")
    assert outcome.status == 2
    assert "pip install 'sslcli[report]'" in outcome.err
    assert not (run / "report.html").exists()


def test_ten_thousand_steps_make_a_page_under_6_mb(sslcli: Sslcli, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=10_000)
    noise = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    for name in ("views", "reconstructions", "fillings"):
        Image.fromarray(noise).save(run / "figures" / f"{name}.png")
    assert sslcli("report", "run").status == 0
    assert (run / "report.html").stat().st_size < 6e6
    assert Page(run / "report.html").count("img") == 3
