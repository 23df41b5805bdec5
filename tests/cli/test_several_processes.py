"""A command line that is given to several processes at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import (
    Sslcli,
    as_second,
    double_of,
)

from sslcli.experiments import pretrain


@pytest.mark.parametrize("words", [["linear-eval", "run=last"], ["pretrain", "-m", "seed=0,1"]])
def test_what_is_for_one_process_is_refused(
    words: list[str], sslcli: Sslcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(key, value)
    outcome = sslcli(*words)
    assert outcome.status == 2
    assert "2 processes were started together" in outcome.err


def test_the_others_find_the_data_named_from_where_the_command_was_typed(
    sslcli: Sslcli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_second(monkeypatch)
    roots: list[str] = []
    run = double_of(pretrain.run, lambda given: roots.append(given["config"].data.root))
    monkeypatch.setattr(pretrain, "run", run)
    outcome = sslcli("pretrain", "data=folder", "data.root=photos")
    assert outcome.status == 0, outcome.err
    assert roots == [str(tmp_path / "photos")]


def test_the_others_leave_a_finished_run_as_it_is(
    made: Path, sslcli: Sslcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_second(monkeypatch)
    monkeypatch.setattr("sslcli.cli.guard.RANK0_REPORTS_WITHIN", 0.0)
    outcome = sslcli("resume", str(made))
    assert outcome.status == 2
    assert "is finished" in outcome.err


def test_what_the_first_did_not_say_another_does(
    sslcli: Sslcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_second(monkeypatch)
    waited: list[float] = []
    monkeypatch.setattr("sslcli.cli.guard.time.sleep", waited.append)
    outcome = sslcli("pretrain", "method.temperature=-1")
    assert (outcome.status, len(waited)) == (2, 1)
    assert "method.temperature must be positive" in outcome.err
