"""`sslcli watch`: which runs it follows, what it says without a terminal, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from doubles import Sslcli, require_refused
from reported import make_run

from sslcli.console import Console
from sslcli.runs.folder import Run
from sslcli.runs.lock import HOST
from sslcli.tools.watch import follow
from sslcli.tools.watch.sight import Watched


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Takes what happens between two looks, one after the other; then Ctrl-C."""

    def install(*happenings: Callable[[], object]) -> list[float]:
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) > len(happenings):
                raise KeyboardInterrupt
            happenings[len(waits) - 1]()

        monkeypatch.setattr(follow.time, "sleep", sleep)
        return waits

    return install


def test_a_run_that_does_not_exist_is_refused(sslcli: Sslcli, tmp_path: Path) -> None:
    assert "`sslcli runs`" in require_refused(
        sslcli("watch", "nothing"), "no run is named 'nothing'"
    )
    assert "sslcli watch last" in require_refused(sslcli("watch"), "no run is running under")
    require_refused(sslcli("watch", "last"), "there is no run under")
    make_run(tmp_path / "outputs" / "a", status="finished")
    require_refused(sslcli("watch", "--web"), "no run is running under")
    assert "--web" in require_refused(
        sslcli("watch", "a", "--port", "80"), "--port 80 belongs to a page"
    )


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("failed", 1), ("interrupted", 1)])
def test_a_run_that_has_ended_is_shown_once(
    sslcli: Sslcli, tmp_path: Path, status: str, code: int
) -> None:
    make_run(tmp_path / "outputs" / "a", status=status)
    outcome = sslcli("watch", "a")
    assert outcome.status == code
    assert outcome.out.startswith(f"a: {status}: step 20, epoch 2.00: ")
    assert outcome.out.count("\n") == 1
    assert ("the run" in outcome.err) == bool(code)


def test_a_run_is_followed_until_it_ends(
    sslcli: Sslcli, tmp_path: Path, meanwhile: Callable[..., list[float]]
) -> None:
    run = make_run(tmp_path / "outputs" / "a", status="running", host=HOST)
    with Run(run) as opened:
        waits = meanwhile(
            lambda: opened.record({"step": 21, "epoch": 2.1, "loss": 0.5}),
            lambda: opened.finish({"loss": 0.5}, None),
        )
        outcome = sslcli("watch", "last")
    assert (outcome.status, len(waits)) == (0, 2)
    first, last = outcome.out.splitlines()
    assert first.startswith("a: running: step 20")
    assert last.startswith("a: finished: step 21, epoch 2.10: loss 0.5")


def test_a_removed_folder_ends_it(
    sslcli: Sslcli, tmp_path: Path, meanwhile: Callable[..., list[float]]
) -> None:
    run = make_run(tmp_path / "outputs" / "a", status="running", host=HOST)
    with Run(run):
        meanwhile(lambda: run.rename(tmp_path / "moved"))
        outcome = sslcli("watch", "a")
    assert outcome.status == 1
    assert f"the folder is gone: {Path('outputs/a').absolute()}" in outcome.err


def test_all_running_runs_are_followed_and_those_that_begin(
    sslcli: Sslcli,
    tmp_path: Path,
    meanwhile: Callable[..., list[float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "SEARCH_EVERY", -1.0)
    runs = [make_run(tmp_path / "outputs" / name, status="running", host=HOST) for name in "abc"]
    with Run(runs[0]), Run(runs[1]) as second:
        third: list[Run] = []
        meanwhile(
            lambda: third.append(Run(runs[2])),
            lambda: second.finish({"loss": 0.5}, None),
            lambda: None,
        )
        refused = sslcli("watch", "--web")
        assert "2 runs are running, and a page follows one" in refused.err
        outcome = sslcli("watch")
        third[0].__exit__()
    assert outcome.status == 0
    said = [" ".join(line.split()[:2]) for line in outcome.out.splitlines()]
    assert sorted(said) == ["a: running:", "b: finished:", "b: running:", "c: running:"]
    assert said.index("b: finished:") == 3, "an end is said once"


def test_a_page_is_served_until_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(follow.WatchServer, "serve_forever", interrupted)
    assert follow.follow_on_page(make_run(tmp_path / "run"), 0, Console()) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_nothing_is_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", status="running", host=HOST)
    before = {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]}
    watched = Watched(run)
    for _ in range(3):
        watched.look()
    assert {path: path.stat().st_mtime_ns for path in [run, *run.rglob("*")]} == before
