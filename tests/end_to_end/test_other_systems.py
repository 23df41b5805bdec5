"""A training and an evaluation where what Windows lacks is absent. Windows itself was not tried."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ABSENT = """
import os, signal, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for place, names in (
    (signal, "SIGHUP SIGUSR1 SIGUSR2 SIGKILL SIGALRM SIGCHLD SIGPIPE"),
    (os, "pread pwrite sysconf O_NONBLOCK O_CLOEXEC sched_getaffinity getuid fork posix_fallocate"),
):
    for name in names.split():
        if hasattr(place, name):
            delattr(place, name)
"""


@pytest.mark.slow
def test_a_training_and_an_evaluation_without_what_windows_lacks(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(ABSENT)
    draw = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 8)):
        for number in range(count):
            path = tmp_path / "photos" / part / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(path)

    def sslcli(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sslcli", *words],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(tmp_path / "site"),
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    of_files = ["data=folder", "data.root=photos", "data.resolution=8", "data.cache=disk"]
    sslcli("pretrain", *of_files, "batch_size=8", "epochs=1", "encoder.width=4")
    (run,) = tmp_path.glob("outputs/pretrain/*/*")
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "finished"
    assert facts["peak_memory_bytes"] is None, "it is not known, and not guessed"
    assert "linear probe" in sslcli("linear-eval", "run=last", "l2=[0.1]")
    assert "finished" in sslcli("runs")
