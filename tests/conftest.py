"""Fixtures of several rooms: a command line in this process, and runs that take a second to make."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

# Before torch: small work is slower on several threads, much so on a shared machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from doubles import MADE, TINY_WITHOUT_LIMIT, Outcome, Site, Sslcli, only_run

DRAWN_FROM: list[tuple[Any, Any]] = []
"""The generators of test files, and their states after the import."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what runs a whole command."""
    for item in items:
        if "command_line" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.commands)


def pytest_configure() -> None:
    """Looks for no garbage while test files are imported: with what follows, a tenth of `make quick`."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Looks for garbage in what tests make, not in what was imported; notes where generators stand."""
    gc.freeze()
    gc.enable()
    for module in list(sys.modules.values()):
        for rng in map(getattr(module, "__dict__", {}).get, ("RNG", "GENERATOR")):
            if any(rng is known for known, _ in DRAWN_FROM):
                continue
            if isinstance(rng, np.random.Generator):
                DRAWN_FROM.append((rng, rng.bit_generator.state))
            elif hasattr(rng, "set_state"):  # torch's, which is not to be imported here
                DRAWN_FROM.append((rng, rng.get_state()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Lets every test draw the same numbers, whatever ran before it in its process."""
    draw_anew()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """So does what several tests share, whichever of them comes first; it takes no numbers from them."""
    is_shared = fixturedef.scope != "function"
    if is_shared:
        draw_anew()
    made = yield
    if is_shared:
        draw_anew()
    return made


def draw_anew() -> None:
    """Puts all generators back to where they were when the tests were collected."""
    for rng, state in DRAWN_FROM:
        if isinstance(rng, np.random.Generator):
            rng.bit_generator.state = state
        else:
            rng.set_state(state)
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)  # no device's, which takes longer


@pytest.fixture
def hangup() -> Iterator[None]:
    """Lets SIGHUP do what it does: under nohup it is ignored, and a closed pipe with it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def command_line() -> Callable[..., int]:
    """Runs a command line in this process; returns its exit status. Imports hydra where a test asks for it, and only then."""
    from hydra.core.global_hydra import GlobalHydra

    from sslcli.cli.main import main

    def run(*words: str) -> int:
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as left:
            main(list(words))
        return int(left.value.code or 0)

    return run


@pytest.fixture
def sslcli(
    command_line: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Sslcli:
    """Runs a command line in an empty folder, as a shell would."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Outcome:
        status = command_line(*words)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of installed packages, which this process sees until the test's end."""
    with monkeypatch.context() as patched:
        found = Site(tmp_path / "site", lambda folder: patched.syspath_prepend(str(folder)))
        found.see(found.folder)
        yield found
    found.forget()


@pytest.fixture(scope="session")
def coloured_source(
    command_line: Callable[..., int], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder that every `coloured` is a copy of."""
    folder = tmp_path_factory.mktemp("coloured")
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 120), ("val", 30), ("test", 60)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 80, (count, 12, 12, 3))
        images[np.arange(count), :, :, labels] += 100
        arrays[f"x_{part}"], arrays[f"y_{part}"] = images.astype(np.uint8), labels
    np.savez(folder / "pictures.npz", **arrays)
    where = [f"data.root={folder}/pictures.npz", f"runtime.outputs={folder}/outputs"]
    assert command_line("pretrain", *TINY_WITHOUT_LIMIT, "data=arrays", *where) == 0
    return folder


@pytest.fixture
def coloured(coloured_source: Path, tmp_path: Path) -> Path:
    """A run, in the folder where `sslcli` runs, on 210 small coloured pictures (120 of them to train on), with labels that a
    linear probe can find in the pixels: the brightest channel."""
    shutil.copytree(coloured_source, tmp_path, dirs_exist_ok=True)
    run = only_run(tmp_path / "outputs/pretrain")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(coloured_source), str(tmp_path)))
    return run


@pytest.fixture(scope="session")
def made(command_line: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny finished run, without its curves, which are slow to draw: to be copied, not changed."""

    outputs = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)
        assert command_line("pretrain", *MADE, f"runtime.outputs={outputs}") == 0
    return only_run(outputs)
