"""Trackers are named in runtime.trackers; what cannot be used is refused before anything is made."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles import MADE, Site, Sslcli, facts, make_run, require_two_lines
from tracking import written_run

from sslcli.config import identity
from sslcli.console import Console
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments.pretrain_config import Config
from sslcli.jobs.tracking import sweep_of, usable
from sslcli.tools.track import trackers_of
from sslcli.trackers.deliveries import Deliveries
from sslcli.trackers.sent import Sent
from sslcli.trackers.table import TRACKERS, require_trackers
from sslcli.trackers.tracker import TrackedRun

MINE = '''
from sslcli.trackers.tracker import Tracker

class Mine(Tracker):
    """Keeps runs in my way."""
    modules = ("module_that_is_not_there",)

class Needing(Mine):
    modules = ("json", "another.module")
    extra = "mine[all]"

class NoTracker:
    pass
'''


def test_trackers_are_no_part_of_a_runs_identity() -> None:
    plain = Config(data=None, method=None, encoder=None, optim=None)  # type: ignore[arg-type]
    tracked = replace(plain, runtime=RuntimeConfig(trackers=["mlflow"], tensorboard=True))
    assert identity("pretrain", plain) == identity("pretrain", tracked)


def test_the_older_setting_is_short_for_a_tracker() -> None:
    assert RuntimeConfig().all_trackers == []
    assert RuntimeConfig(tensorboard=True).all_trackers == ["tensorboard"]
    both = RuntimeConfig(tensorboard=True, trackers=["wandb", "tensorboard"])
    assert both.all_trackers == ["wandb", "tensorboard"]


def test_an_unknown_tracker_is_refused_before_a_folder_is_made(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    outcome = sslcli("pretrain", *MADE, "runtime.trackers=[tensorbord]")
    assert outcome.status == 2
    fix = require_two_lines(outcome, "there is no tracker 'tensorbord'")
    assert "did you mean tensorboard?" in fix
    outcome = sslcli("pretrain", *MADE, "runtime.trackers=[wandb,wandb]")
    require_two_lines(outcome, "runtime.trackers names wandb twice")
    assert not list(tmp_path.iterdir())


def test_a_package_brings_a_tracker_and_what_it_needs_is_asked_for(site: Site) -> None:
    points = {
        "trackers": {"mine": "mine:Mine", "needing": "mine:Needing", "none": "mine:NoTracker"}
    }
    site.install("mine", points, MINE)
    assert TRACKERS["mine"].__doc__ == "Keeps runs in my way."
    with pytest.raises(SslcliError, match="needs the package module_that_is_not_there"):
        require_trackers(["mine"])
    with pytest.raises(SslcliError, match="names needing, which needs the package another") as told:
        require_trackers(["needing"])
    assert told.value.fix == "pip install 'mine[all]'; or leave needing out"
    with pytest.raises(SslcliError, match="the tracker 'none' of mine"):
        require_trackers(["none"])


def test_a_run_that_goes_on_where_a_tracker_is_missing_goes_on_without(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("mine", {"trackers": {"mine": "mine:Mine"}}, MINE)
    assert usable(["mine", "gone"], Console()) == []
    told = capsys.readouterr().err
    assert "needs the package module_that_is_not_there: the run goes on without it" in told
    assert "there is no tracker 'gone': the run goes on without it" in told


def test_a_sweeps_job_knows_its_sweep(tmp_path: Path) -> None:
    job = make_run(tmp_path / "2026-11-26_10-00-00-abc/000-12345678")
    assert sweep_of(job) is None
    (job.parent / "sweep.json").write_text("{}")
    assert sweep_of(job) == "2026-11-26_10-00-00-abc"


def test_track_asks_for_trackers_where_a_run_has_none(sslcli: Sslcli, tmp_path: Path) -> None:
    run = written_run(tmp_path / "outputs/run")
    before = facts(run)
    outcome = sslcli("track", "last")
    assert outcome.status == 2
    assert require_two_lines(outcome, "has no runtime.trackers") == "fix:   name some: --to mlflow"
    require_two_lines(sslcli("track", "last", "--to", "w"), "there is no tracker 'w'")
    assert facts(run) == before
    config = run / "config.yaml"
    config.write_text(config.read_text() + "runtime: {trackers: [mlflow], tensorboard: true}\n")
    assert trackers_of(run) == ["tensorboard", "mlflow"]


def test_the_tracker_of_the_docs_page_takes_a_run(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/trackers.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    run = written_run(tmp_path / "outputs/pretrain/simclr/run", steps=3)
    described = TrackedRun.of(run, None)
    work = Deliveries(described, Sent(), run / "state.json")
    mine = names["Lines"](described)
    work.give_new(mine)
    work.give_end(mine)
    lines = (run / "lines.txt").read_text().splitlines()
    assert [line.split(" ")[:2] for line in lines] == [["pretrain", str(n)] for n in (1, 2, 3)]
    assert mine.look == f"less {run}/lines.txt"
