"""Command lines in processes of their own, and what kills them."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles import TINY, facts, records
from hydra.core.global_hydra import GlobalHydra

from sslcli.cli.main import main
from sslcli.console import TrainingLines

WORDS = [
    "pretrain",
    *TINY,
    "epochs=3",
    "log_every=1",
    "save_every=0.5",
    "knn_every=0",
    "snapshots=[2]",
]
"""12 steps, a checkpoint after every second, a snapshot after the eighth."""


def forked(words: list[str], fault: Callable[[], None] = lambda: None) -> int:
    """The exit status of a process of its own that runs a command line, after `fault` was arranged in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks
        child = os.fork()
    if child == 0:
        status = 99
        try:
            GlobalHydra.instance().clear()
            fault()
            main(words)
        except SystemExit as left:
            status = int(left.code or 0)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(step: int, number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    def arrange() -> None:
        real = TrainingLines.step

        def told(self: TrainingLines, done: int) -> None:
            real(self, done)
            if done == step:
                os.kill(os.getpid(), number)

        TrainingLines.step = told  # type: ignore[method-assign]

    return arrange


def in_outputs(words: list[str], outputs: Path) -> list[str]:
    return [*words, f"runtime.outputs={outputs}"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def require_same(run: Path, expected: Path, what: object = "") -> None:
    assert facts(run)["status"] == "finished", what
    assert records(run) == records(expected), what
    assert weights(run) == weights(expected), what


def weights(run: Path) -> dict[Path, bytes]:
    """The finished encoder and the snapshots, by their path in the run's folder."""
    return {path.relative_to(run): path.read_bytes() for path in run.rglob("*.safetensors")}


DURABLE = ((os, "fsync"), (os, "link"), (Path, "replace"), (Path, "unlink"))


def counted(
    strike: Callable[[int], None], patches: pytest.MonkeyPatch | None = None
) -> Callable[[], None]:
    """Tells `strike` of every operation by which something becomes durable, with its number, before it is done."""

    def arrange() -> None:
        count = 0
        for owner, name in DURABLE:
            real = getattr(owner, name)

            def counting(*given: Any, _real: Any = real, **named: Any) -> Any:
                nonlocal count
                count += 1
                strike(count)
                return _real(*given, **named)

            (patches or pytest.MonkeyPatch()).setattr(owner, name, counting)

    return arrange
