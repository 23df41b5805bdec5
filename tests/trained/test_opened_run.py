"""`sslcli.open_run` and `sslcli.runs`: what a notebook gets of runs in any state, and how it is shown."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import pictures
from PIL import Image
from reported import HOSTILE, hostile_run, make_run

import sslcli
from sslcli.errors import SslcliError
from sslcli.runs.results import Protocol, Results, Row, write_results

pd = pytest.importorskip("pandas")


class Shown(HTMLParser):
    """What a notebook makes of HTML: tags with attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def shown(found: Any) -> Shown:
    return Shown(found._repr_html_())


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    outputs = tmp_path / "outputs"
    make_run(outputs / "a", started=1e9)
    make_run(outputs / "b", started=2e9, status="failed", metrics={}, validation=None)
    other = {"method": "byol", "data": "fashion_sample"}
    make_run(outputs / "c", started=3e9, config={"seed": 1}, choices=other)
    return outputs


def test_settings_keep_their_types(tmp_path: Path) -> None:
    odd = {
        "flag": True,
        "none": None,
        "text": "1.10",
        "list": [1, "a"],
        "large": 2**60,
        "tiny": 1e-9,
    }
    config = sslcli.open_run(make_run(tmp_path / "run", config={"method": odd})).config
    assert list(config.columns) == ["value"]
    for name, value in odd.items():
        found = config.loc[f"method.{name}", "value"]
        assert (found, type(found)) == (value, type(value))
    assert config.loc["method", "value"] == "simclr"


def test_records_are_rows_with_empty_cells_where_nothing_was_measured(tmp_path: Path) -> None:
    run = sslcli.open_run(make_run(tmp_path / "run", steps=5))
    records = run.records
    assert len(records) == 6
    assert list(records.columns[:3]) == ["phase", "step", "epoch"]
    assert records["step"].tolist() == [1, 2, 3, 4, 5, 5]
    assert records["knn_accuracy"].notna().tolist() == [False] * 5 + [True]
    assert records["loss"].isna().tolist() == [False] * 5 + [True]
    assert records["timing.seconds"][0] == 1.0
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert records["loss"].dropna().tolist() == [json.loads(line)["loss"] for line in lines[:5]]
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"phase": "pretrain", "step": 6, "epoch": 0.6, "loss": 0.5}\n{"torn')
    assert run.records["loss"].iloc[-1] == 0.5, "it is read anew, without a torn last line"
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(SslcliError, match="cannot be read"):
        _ = run.records


def test_a_run_without_records_has_an_empty_frame(tmp_path: Path) -> None:
    run = sslcli.open_run(make_run(tmp_path / "run", steps=0))
    assert (len(run.records), list(run.records.columns)) == (0, ["phase", "step", "epoch"])
    assert (len(run.evaluations), list(run.evaluations.columns)) == (0, ["command", "run"])
    assert "Nothing was recorded yet" in shown(run).text


def test_settings_and_metrics_of_an_evaluation_stay_apart(tmp_path: Path) -> None:
    run = sslcli.open_run(make_run(tmp_path / "run"))
    line = {
        "command": "linear-eval",
        "run": "/r",
        "settings": {"labels": 2, "top1": 7},
        "metrics": {"top1": 0.5},
    }
    (run.folder / "evaluations.jsonl").write_text(json.dumps(line) + "\n{torn")
    with pytest.warns(UserWarning, match=r"line 2 of evaluations.jsonl cannot be read"):
        found = run.evaluations
    assert found.to_dict("records") == [
        {
            "command": "linear-eval",
            "run": "/r",
            "settings.labels": 2,
            "settings.top1": 7,
            "top1": 0.5,
        }
    ]


def test_results_have_a_row_for_everything_measured(tmp_path: Path) -> None:
    run = sslcli.open_run(make_run(tmp_path / "run"))
    with pytest.raises(SslcliError, match=r"results.json is not there"):
        _ = run.results
    rows = [Row("trained", {"top1": 0.9}, {"l2": 0.1}, 2.0), Row("raw", {"top1": None, "map": 0.3})]
    write_results(run.folder, Results("linear-eval", Protocol("test", None), rows))
    found = run.results
    assert found["name"].tolist() == ["trained", "raw"]
    assert found.loc[0, ["settings.l2", "top1", "seconds"]].tolist() == [0.1, 0.9, 2.0]
    assert np.isnan(found.loc[1, "top1"])
    assert found.loc[1, "map"] == 0.3


def test_its_encoder_is_the_runs(run: Path) -> None:
    opened = sslcli.open_run(run)
    images = pictures().images[:]
    expected = sslcli.load_encoder(run).features(images)
    assert torch.equal(opened.encoder.features(images), expected)
    assert opened.encoder is opened.encoder


def test_figures_are_pictures_by_name(tmp_path: Path) -> None:
    run = sslcli.open_run(make_run(tmp_path / "run"))
    Image.new("L", (3, 2), 7).save(run.folder / "figures" / "small.png")
    (run.folder / "figures" / "torn.png").write_bytes(
        (run.folder / "figures" / "views.png").read_bytes()[:50]
    )
    secret = tmp_path / "secret.png"
    Image.new("L", (3, 2), 7).save(secret)
    (run.folder / "figures" / "out.png").symlink_to(secret)
    assert list(run.figures) == ["small", "torn", "views"]
    assert (run.figures["small"].size, run.figures["small"].getpixel((0, 0))) == ((3, 2), 7)
    with pytest.raises(KeyError, match="there is small, torn, views"):
        run.figures["none"]
    with pytest.raises(SslcliError, match=r"torn.png cannot be read"):
        run.figures["torn"]
    page = shown(run.figures)
    assert len(page.named("img")) == 2
    assert "torn.png cannot be read" in page.text


@pytest.mark.slow
def test_a_run_is_shown_with_its_curves(tmp_path: Path) -> None:
    run = sslcli.open_run(make_run(tmp_path / "run", status="failed", error="the loss is nan"))
    page = shown(run)
    assert "simclr on fashion_sample: pretrain" in page.text
    assert "the loss is nan" in page.text
    assert "0.7" in page.text
    (curves,) = page.named("img")
    assert str(curves["src"]).startswith("data:image/png;base64,")
    assert repr(run) == f"<run {run.folder}: failed>"


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "[]", '{"status": 3}', '{"derived": {"normal_loss": 3}}'])
def test_damage_does_not_keep_a_run_from_being_shown(tmp_path: Path, content: str) -> None:
    run = make_run(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{}\nno record\n{"loss": 1}\n')
    opened = sslcli.open_run(run)
    (run / "run.json").write_text(content)
    assert len(shown(opened).named("img")) == 1
    (run / "metrics.jsonl").write_text('{"loss": 1}\n')
    assert "Nothing was recorded yet" in shown(opened).text


@pytest.mark.slow
def test_hostile_names_are_text_and_nothing_is_executed(tmp_path: Path) -> None:
    hostile_run(tmp_path / "outputs")
    runs = sslcli.runs(tmp_path / "outputs")
    for found in (runs, runs[0], runs[0].figures):
        page = shown(found)
        assert {tag for tag, _ in page.tags} <= {
            "div", "p", "b", "br", "code", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "img",
            "figure", "figcaption",
        }  # fmt: skip
        assert all(set(attributes) <= {"src", "alt"} for _, attributes in page.tags)
    assert HOSTILE in shown(runs[0]).text
    assert HOSTILE in shown(runs).text


def test_runs_are_chosen_as_on_the_command_line(outputs: Path) -> None:
    def names(*where: str, **wanted: Any) -> list[str]:
        return [run.folder.name for run in sslcli.runs(*where, **wanted)]

    assert names() == names("outputs") == ["c", "b", "a"]
    assert names(method="simclr") == ["b", "a"]
    assert names(method="simclr", status="finished") == ["a"]
    assert names(seed=1) == ["c"]
    assert names(seed="1") == ["c"]
    assert names(**{"method.temperature": 0.5}) == ["c", "b", "a"]
    assert names(**{"method.temperature": 0.4}) == []
    with pytest.raises(SslcliError, match="no run has a 'outputs'"):
        names(outputs="x")
    with pytest.raises(SslcliError, match="no run has a 'metod'"):
        names(metod="simclr")
    with pytest.raises(SslcliError, match="there is no folder"):
        names("elsewhere")


@pytest.mark.slow
def test_runs_are_a_sequence_a_frame_and_a_table_with_curves(outputs: Path) -> None:
    runs = sslcli.runs()
    assert [run.folder.name for run in runs[1:]] == ["b", "a"]
    frame = runs.frame
    assert frame["status"].tolist() == ["finished", "failed", "finished"]
    assert frame["method"].tolist() == ["byol", "simclr", "simclr"]
    assert frame["knn_accuracy"].isna().tolist() == [False, True, False]
    page = shown(runs)
    assert len(page.named("tr")) == 4
    assert len(page.named("img")) == 1
    assert "knn accuracy 0.7" in page.text
    nothing = sslcli.runs(status="running")
    assert (len(nothing), repr(nothing), "no runs" in shown(nothing).text) == (0, "no runs", True)
    assert len(nothing.frame) == 0


def test_the_room_of_run_folders_is_still_a_package() -> None:
    from sslcli.runs.find import find_runs

    assert sslcli.runs.find.find_runs is find_runs
    assert callable(sslcli.runs)


def test_a_mistake_is_two_lines_in_a_notebook(outputs: Path) -> None:
    with pytest.raises(SslcliError) as raised:
        sslcli.open_run("nothing")
    error, fix = raised.value._render_traceback_()
    assert error.startswith("error: no run is named 'nothing'")
    assert fix.startswith("fix:   `sslcli runs`")


def test_without_pandas_only_frames_are_missing(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    run = sslcli.open_run("a")
    with pytest.raises(SslcliError, match="frames need pandas") as raised:
        _ = run.records
    assert raised.value.fix == "pip install 'sslcli[notebook]'"
    assert run.metrics == {"loss": 1.1, "knn_accuracy": 0.7}
    assert [run.status for run in sslcli.runs()] == ["finished", "failed", "finished"]
