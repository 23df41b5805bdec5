"""The page of `sslcli watch --web` as a browser shows it. `opened` refuses a request to anywhere else, and any complaint."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Opened, browser, colours, overflow
from PIL import Image
from reported import HOSTILE, hostile_run, make_run

from sslcli.runs.folder import Run
from sslcli.runs.lock import HOST
from sslcli.tools.watch import page as pages
from sslcli.tools.watch.sight import Watched
from sslcli.tools.watch.web import WatchServer

pytestmark = pytest.mark.slow
LENGTH = "path => path.getTotalLength()"


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    with browser() as look:
        yield look


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LOOK_EVERY", 0.1)


@contextmanager
def served(run: Path) -> Iterator[str]:
    with WatchServer(Watched(run), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.address
        finally:  # or a test that fails would keep its process alive
            server.shutdown()
            thread.join()


def says(page: Any, text: str) -> None:
    """Waits until it does."""
    page.wait_for_function("text => document.body.innerText.includes(text)", arg=text)


def add(run: Path, text: str) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write(text)


def test_a_run_is_followed_while_it_grows_to_its_end_and_beyond(
    tmp_path: Path, opened: Opened
) -> None:
    run = make_run(tmp_path / "run", status="running", host=HOST, derived={"num_steps": 40})
    with Run(run) as training, served(run) as address, opened(address) as page:
        assert page.title() == "running · simclr on fashion_sample: pretrain"
        assert "step 20 of 40" in page.inner_text("#status")
        loss = page.locator(".panel", has=page.get_by_text("loss", exact=True))
        before = loss.locator("path").get_attribute("d")
        assert before.count("L") == 19
        assert page.locator(".panel").count() == 4
        record = json.dumps({"phase": "pretrain", "step": 30, "epoch": 3.0, "loss": 0.25})
        add(run, record[:20])  # torn: it is no point yet
        (run / "log.txt").write_text("2026-01-01 00:00:00 warning: it is slow\n")
        says(page, "it is slow")
        assert loss.locator("path").get_attribute("d") == before
        add(run, record[20:] + "\n")
        says(page, "step 30 of 40")
        assert loss.locator("path").get_attribute("d").count("L") == 20
        assert loss.locator("h3 > span").nth(1).inner_text() == "0.25"
        assert page.locator("#bar div").evaluate("bar => bar.style.width") == "75%"
        add(run, '{"phase": "pretrain", "step": 31, "epoch": 3.1, "collapsed": 1.0}\n')
        says(page, "the features are collapsed, as they were measured last")
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(run / "figures" / "restorations.png")
        says(page, "Restorations of validation pictures")
        page.wait_for_function(
            "() => document.images.length === 2 && [...document.images].every(one => one.naturalWidth)"
        )
        training.finish({"loss": 0.25}, None)
        says(page, "finished")
        assert not page.is_visible("#bar")
        training.update(status="running")
        says(page, "running")
        run.rename(tmp_path / "moved")
        says(page, "the folder is gone")
        assert page.locator(".panel").count() == 4
        assert page.locator("img").count() == 0
        (tmp_path / "moved").rename(run)
        says(page, "running")
        page.wait_for_function("() => document.images.length === 2")


def test_ten_thousand_steps_are_drawn_at_once_on_any_screen(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOK_EVERY", 3600.0)  # what is drawn came with the page
    run = make_run(tmp_path / "run", steps=10_000)
    with served(run) as address:
        for width, scheme in ((1280, "light"), (360, "dark")):
            with opened(address, width=width, scheme=scheme) as page:
                assert page.evaluate("performance.getEntriesByName('drawn').length") == 1
                assert (
                    page.evaluate(
                        "performance.getEntriesByType('resource').filter(one => one.name.includes('values')).length"
                    )
                    == 0
                )
                lines = page.locator(".panel path")
                assert lines.count() == 8  # each pale, under its running mean
                assert all(
                    length > 100 for length in lines.evaluate_all(f"all => all.map({LENGTH})")
                )
                assert overflow(page) == 0
                shown = colours(page, "h1, dd, #status, .panel b")
                assert min(shown) > 150 if scheme == "dark" else max(shown) < 100


def test_the_pointer_tells_the_values_of_an_epoch(tmp_path: Path, opened: Opened) -> None:
    run = make_run(tmp_path / "run", steps=0)
    for step in range(1, 11):
        add(run, json.dumps({"phase": "a", "step": step, "epoch": step, "loss": 100 + step}) + "\n")
        add(run, json.dumps({"phase": "b", "step": step, "epoch": step, "loss": 200 + step}) + "\n")
    with served(run) as address, opened(address) as page:
        panel = page.locator(".panel").first
        assert panel.locator(".names").inner_text().split() == ["a", "b"]
        value = panel.locator("h3 > span").nth(1)
        assert value.inner_text() == "110 210"
        assert panel.locator("circle").count() == 20
        box = panel.locator("svg").bounding_box()
        fourth = 52 + 4 / 10.2 * (box["width"] - 56)
        page.mouse.move(box["x"] + fourth + 3, box["y"] + 20)
        assert value.inner_text() == "epoch 4: 104 204"
        page.mouse.move(0, 0)
        assert value.inner_text() == "110 210"


def test_hostile_names_are_shown_as_text(tmp_path: Path, opened: Opened) -> None:
    run = hostile_run(tmp_path)
    with served(run) as address, opened(address) as page:
        assert HOSTILE in page.inner_text("h1")
        page.wait_for_function("() => [...document.images].every(one => one.naturalWidth)")
        assert page.locator("img").count() == 2
        assert page.locator("b").all_inner_texts().count(HOSTILE) == 1
        add(run, '{"epoch": 3, "loss": 1}\n')
        page.wait_for_function(
            "text => document.getElementById('alarms').innerText.includes(text)", arg=HOSTILE
        )


def test_the_page_says_when_nobody_answers(tmp_path: Path, opened: Opened) -> None:
    run = make_run(tmp_path / "run")
    complaint = pytest.raises(AssertionError, match="ERR_CONNECTION_REFUSED")
    with complaint, served(run) as address, opened(address) as page:
        assert not page.is_visible("#lost")
        page.route("**/values.json*", lambda route: route.abort("connectionrefused"))
        says(page, "its sslcli watch has ended")
        assert page.locator(".panel").count() == 4
        page.unroute("**/values.json*")
        page.wait_for_function("() => document.getElementById('lost').hidden")
