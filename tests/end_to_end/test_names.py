"""Any name of a folder is only a name, and what is offered with it can be copied."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from doubles import MADE, Sslcli, facts, only_run, require_nothing_executed, require_refused
from PIL import Image

from sslcli.saved import read
from sslcli.text import shell_quoted

NAMES = [
    "with spaces  and 'single' and \"double\" quotes",
    "a=b, [c] {d} (e) $HOME `touch owned` ; touch owned #",
    "'; touch owned; '",
    "Ünïcödé 画像 🙂",
    "[red]bold *?",
    "-n",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_any_name(sslcli: Sslcli, run: Path, name: str) -> None:
    """What is offered can be pasted into a shell, and does what it says."""
    run = run.rename(run.with_name(name))
    assert name in sslcli("runs").out
    fix = require_refused(sslcli("rerun", str(run)), str(run))
    offered = subprocess.run(
        ["sh", "-c", fix.partition("first: ")[2].replace("sslcli", "printf '%s\\n'", 1)],
        capture_output=True,
        text=True,
    )
    assert offered.stdout == f"resume\n{run}\n"
    assert shlex.split(shell_quoted(name)) == [name]
    (run / "pretrain/last.pt").write_bytes(b"")
    fix = require_refused(sslcli("resume", str(run)), "cannot be read as a checkpoint")
    assert shlex.split(fix.partition("sslcli ")[2]) == ["resume", str(run), "--from-previous"]
    outcome = sslcli("resume", str(run), "--from-previous")
    assert outcome.status == 0, outcome.err
    outcome = sslcli("rerun", str(run))
    assert outcome.status == 0, outcome.err
    assert "identical" in outcome.out
    require_nothing_executed()


def test_a_terminals_commands_in_a_name_are_spelled_out(sslcli: Sslcli, run: Path) -> None:
    """ESC ] 0 sets a window's title; others can answer as if typed."""
    run = run.rename(run.with_name("run\x1b]0;owned\x07 \udcff"))
    outcome = sslcli("rerun", str(run))
    assert r"run\x1b]0;owned\x07 \udcff" in outcome.err
    assert sslcli("resume", str(run)).status == 0
    outcomes = [
        outcome,
        sslcli("runs"),
        sslcli("report", str(run)),
        sslcli("linear-eval", "run=nothing\x1b[2J"),
    ]
    assert all(not set("\x1b\x07\udcff") & {*outcome.out, *outcome.err} for outcome in outcomes)


PLAIN = [name for name in NAMES if "$" not in name]
ONE_OF_THEM = [PLAIN[0], *(pytest.param(name, marks=pytest.mark.slow) for name in PLAIN[1:])]


@pytest.mark.parametrize("name", ONE_OF_THEM)
def test_folders_of_any_name(sslcli: Sslcli, tmp_path: Path, name: str) -> None:
    """As data.root and runtime.outputs, through Hydra's grammar, the saved config and back."""
    rng = np.random.default_rng(0)
    pictures = tmp_path / f"pictures {name}"
    pictures.mkdir()
    for index in range(24):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(
            pictures / f"{index}.png"
        )
    escaped = name.replace('"', '\\"')
    words = [word for word in MADE if not word.startswith("data.")]
    words += ["data=folder", "data.resolution=8", "batch_size=8", f'data.root="pictures {escaped}"']
    outcome = sslcli("pretrain", *words, f'runtime.outputs="outputs {escaped}"')
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / f"outputs {name}")
    assert read(run / "config.yaml").values["data"]["root"] == str(pictures)
    (run / "run.json").write_text(json.dumps({**facts(run), "status": "interrupted"}))
    assert sslcli("resume", "last", "--outputs", f"outputs {name}").status == 0
    outcome = sslcli("rerun", str(run), "--set", f"data.root={pictures}")
    assert outcome.status == 0, outcome.err
    assert "identical" in outcome.out
    require_nothing_executed()


@pytest.mark.parametrize(
    "words",
    [
        ("data=folder", "data.root=b\udcff"),
        ("runtime.outputs=b\udcff",),
    ],
)
def test_a_name_that_config_yaml_cannot_hold_is_refused_before_a_folder_is_made(
    sslcli: Sslcli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "b\udcff").mkdir()
    (key, _), where = words[-1].split("="), tmp_path / "b\udcff"
    require_refused(sslcli("pretrain", *words), f"{key}: ", "holds bytes that are no UTF-8")
    assert [*tmp_path.rglob("*")] == [where]
