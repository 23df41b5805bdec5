"""Fixtures of runs that are stopped: one that was, and the same one whole."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from doubles import only_run
from forks import WORDS, counted, die, forked, in_outputs, killed_after

from sslcli.cli.main import main
from sslcli.experiments import pretrain


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one slow part of these runs that no byte of records and weights depends on."""
    monkeypatch.setattr(pretrain, "save_figures", lambda *_: None)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed before its first step."""

    def arrange() -> None:
        pretrain.run = lambda *_: die()  # type: ignore[assignment]

    outputs = tmp_path_factory.mktemp("begun")
    assert forked(in_outputs(WORDS, outputs), arrange) == -signal.SIGKILL
    return only_run(outputs)


@pytest.fixture(scope="session")
def whole(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, gone on with and nothing happened to it; beside it stands how many durable operations that took."""
    run = Path(shutil.copytree(begun, tmp_path_factory.mktemp("whole") / "run"))

    def note(number: int) -> None:
        (run.parent / "operations").write_text(str(number))

    with pytest.MonkeyPatch.context() as patches, pytest.raises(SystemExit) as left:
        patches.setattr(pretrain, "save_figures", lambda *_: None)
        counted(note, patches)()
        # In this process: what is imported now, those forked later need not import.
        main(["resume", str(run)])
    assert not left.value.code
    return run


@pytest.fixture(scope="session")
def killed_once(begun: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Path(shutil.copytree(begun, tmp_path_factory.mktemp("killed") / "run"))
    assert forked(["resume", str(run)], killed_after(7)) == -signal.SIGKILL
    return run


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """A copy of the run that was killed after step 7; its newest checkpoints are of the steps 6 and 4."""
    return Path(shutil.copytree(killed_once, tmp_path / "killed"))
