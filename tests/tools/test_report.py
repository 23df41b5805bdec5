"""`sslcli report`: pages of runs in every state and of sweeps; what is in them, and how they are in a browser."""

from __future__ import annotations

import fcntl
import html
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from browser import Opened, colours, overflow
from doubles import TINY, Sslcli, only_run
from pasting import by_hydra, pasted
from PIL import Image

from sslcli.report import html_page
from sslcli.report.charts import Line, draw_curves
from sslcli.report.frame import written_about

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'\"<b>%{x}"

DARK_TICKS = """() => { const ticks = [...document.querySelectorAll(".chart .xtick text")];
  return ticks.length && ticks.every(tick => getComputedStyle(tick).fill === "rgb(243, 244, 246)"); }"""


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its text apart from scripts, the values of its charts."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.charts: list[dict[str, Any]] = []
        self.text = ""
        self.inside: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = self.tags[-1]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ("", {})

    def handle_data(self, data: str) -> None:
        tag, attributes = self.inside
        if tag == "script" and attributes.get("type") == "application/json":
            self.charts.append(json.loads(data))
        elif tag not in ("script", "style"):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def make_run(
    folder: Path, *, steps: int = 20, config: dict[str, Any] | None = None, **facts: Any
) -> Path:
    """A finished run of `pretrain`, as it lies in its folder, without having trained."""
    (folder / "figures").mkdir(parents=True)
    header = {
        "format": 1,
        "version": "0.1.0",
        "command": "pretrain",
        "choices": {"method": "simclr"},
    }
    values = {"sslcli": header, "method": {"temperature": 0.5}, "seed": 0, **(config or {})}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    (folder / "overrides.yaml").write_text("[]")
    lines = []
    for step in range(1, steps + 1):
        at = {"phase": "pretrain", "step": step, "epoch": step / 10}
        lines.append(
            {
                **at,
                "loss": 1 + math.exp(-step / 10),
                "learning_rate": 0.1,
                "timing": {"seconds": 1.0},
            }
        )
        if step % 5 == 0:
            lines.append({**at, "knn_accuracy": 0.5 + step / 100, "effective_rank": 3.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    all_facts = {
        "status": "finished",
        "command": "pretrain",
        "choices": {"method": "simclr", "data": "fashion_sample"},
        "started": 1.7e9,
        "seconds": 12.0,
        "metrics": {"loss": 1.1, "knn_accuracy": 0.7},
        "validation": {"metric": "knn_accuracy", "larger_is_better": True},
        **facts,
    }
    (folder / "run.json").write_text(json.dumps(all_facts))
    Image.new("RGB", (60, 40), "red").save(folder / "figures" / "views.png")
    return folder


def make_sweep(folder: Path) -> Path:
    for number, (temperature, seed, accuracy) in enumerate(
        [(0.1, 0, 0.61), (0.1, 1, 0.65), (0.5, 0, 0.81), (0.5, 1, 0.79)]
    ):
        config = {"method": {"temperature": temperature}, "seed": seed}
        metrics = {"loss": 1.1, "knn_accuracy": accuracy, "top1": 1 - accuracy}
        job = make_run(folder / f"{number:03d}-12345678", config=config, metrics=metrics)
        words = ["epochs=2", f"method.temperature={temperature}", f"seed={seed}"]
        (job / "overrides.yaml").write_text(yaml.safe_dump(words))
    refused = {"words": ["epochs=2", "seed=5"], "error": "must be positive", "fix": "try 1"}
    (folder / "004-refused.json").write_text(json.dumps(refused))
    sweep = {
        "command": "pretrain",
        "words": ["epochs=2", "method.temperature=0.1,0.5", "seed=0,1"],
        "planned": [],
    }
    (folder / "sweep.json").write_text(json.dumps(sweep))
    return folder


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
    for said in ("trained_encoder", "Confusion matrix", "L-BFGS"):
        assert said in evaluated.text


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_what_is_missing_is_named(sslcli: Sslcli, tmp_path: Path, status: str) -> None:
    facts = {"status": status, "error": "the loss is nan", "step": 20, "derived": {"num_steps": 90}}
    run = make_run(tmp_path / "run", metrics={}, validation=None, **facts)
    assert sslcli("report", "run").status == 0
    page = Page(run / "report.html")
    known = "died" if status == "running" else status
    for said in (
        f"not finished: {known}, after step 20 of 90",
        "the loss is nan",
        "sslcli resume",
        "1.135",
    ):
        assert said in page.text  # the newest loss stands for the final one
    assert len(page.charts) == 4


def test_a_run_that_is_worked_on(sslcli: Sslcli, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", status="running", metrics={}, validation=None)
    with (run / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sslcli("report", "run").status == 0
    assert "not finished: running" in Page(run / "report.html").text


def test_damaged_files_are_named_and_the_rest_is_shown(sslcli: Sslcli, tmp_path: Path) -> None:
    damages: dict[str, tuple[str, str]] = {
        "run.json": ("{", "run.json"),
        "config.yaml": ("]", "the config cannot be shown"),
        "metrics.jsonl": ("{]\n", "metrics.jsonl cannot be read"),
        "figures/views.png": ("no picture", "views.png cannot be read"),
        "confusion.csv": ("true,a\na,x\n", "confusion.csv cannot be read"),
        "evaluations.jsonl": ("{\n", "line 1 of evaluations.jsonl cannot be read"),
    }
    for number, (file, (content, said)) in enumerate(damages.items()):
        run = make_run(tmp_path / str(number))
        (run / file).write_text(content)
        assert sslcli("report", str(run)).status == 0, file
        page = Page(run / "report.html")
        assert said in page.text
        assert len(page.charts) == (0 if file == "metrics.jsonl" else 4)
    lost = make_run(tmp_path / "lost")
    (lost / "run.json").unlink()
    assert sslcli("report", "lost").status == 0
    assert "not finished: damaged" in Page(lost / "report.html").text


def hostile_run(folder: Path) -> Path:
    """Whose every name and value is hostile."""
    run = make_run(
        folder / HOSTILE.replace("/", "|"),
        config={"data": {"root": HOSTILE}, HOSTILE: HOSTILE},
        choices={"method": HOSTILE, "data": HOSTILE},
        status="failed",
        error=HOSTILE,
        metrics={HOSTILE: 0.5, "knn_accuracy": 0.5},
        data={"warnings": [HOSTILE]},
    )
    record = {"phase": HOSTILE, "step": 1, "epoch": 1, "loss": 1.0, HOSTILE: 2.0}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    (run / "log.txt").write_text(f"2026-01-01 00:00:00 warning: {HOSTILE} logged\n")
    (run / "evaluations.jsonl").write_text(
        json.dumps({"command": HOSTILE, "run": HOSTILE, HOSTILE: 1.0}) + "\n"
    )
    (run / "results.json").write_text(
        json.dumps({"results": {HOSTILE: {HOSTILE: 1.0, "protocol": {HOSTILE: HOSTILE}}}})
    )
    (run / "confusion.csv").write_text('true,"<b>a","</script>b"\n"<b>a",3,1\n"</script>b",0,4\n')
    Image.new("L", (8, 8)).save(run / "figures" / "<img src=x onerror=alert(3)>.png")
    return run


def test_all_text_is_escaped(sslcli: Sslcli, tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "runs")
    assert sslcli("report", str(run), "--output", "one.html").status == 0
    assert sslcli("report", "runs", "--output", "all.html").status == 0
    for name, num_charts in (("one.html", 5), ("all.html", 2)):
        page = Page(tmp_path / name)
        assert page.count("script") == num_charts + 2  # plotly, and the page's own
        assert page.count("b") == 0
        assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
        assert all(
            (attributes["src"] or "").startswith("data:")
            for tag, attributes in page.tags
            if tag == "img"
        )
        assert HOSTILE in page.text
        drawn = json.dumps(page.charts)
        assert "<img" not in drawn  # plotly reads a little markup


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "x"', "$HOME `id`", "${a}", "b\\", "a=b,c", "\n"]
)
def test_the_commands_of_any_path_are_right(sslcli: Sslcli, tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / name / "run", status="failed")
    (run / "encoder.json").write_text("{}")
    assert sslcli("report", str(run), "--output", "run.html").status == 0
    assert sslcli("report", str(run.parent), "--output", "runs.html").status == 0
    commands = pasted(commands_of(tmp_path / "run.html"))
    assert [words[1] for words in commands] == [
        *("resume", "rerun", "linear-eval", "diagnose", "embed", "report")
    ]
    for _, command, word in commands:
        assert (by_hydra(word) if command == "linear-eval" else word) == str(run)
    for words in pasted(commands_of(tmp_path / "runs.html")):
        assert words[2] == str(run.parent)


def commands_of(page: Path) -> list[str]:
    commands = re.findall("<pre>(.*?)</pre>", page.read_text(), flags=re.DOTALL)
    return [html.unescape(command) for command in commands]


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


def test_a_sweep_is_compared(sslcli: Sslcli, tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep")
    make_run(
        sweep / "004-12345678",
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
        *("6 runs: 5 finished, 1 failed", "004-12345678: failed: boom", "005-12345678: no config"),
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


def test_ten_thousand_steps_make_a_page_under_6_mb(sslcli: Sslcli, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=10_000)
    noise = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    for name in ("views", "reconstructions", "fillings"):
        Image.fromarray(noise).save(run / "figures" / f"{name}.png")
    assert sslcli("report", "run").status == 0
    assert (run / "report.html").stat().st_size < 6e6
    assert Page(run / "report.html").count("img") == 3


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
