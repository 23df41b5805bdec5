"""One installed package with a method, an encoder, a data source and an optimizer, through every command."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from doubles import Site, Sslcli, facts, only_run, records, require_two_lines

import sslcli as package

HERE = Path(__file__).parent
PIP = [
    sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
    "--no-index", "--disable-pip-version-check",
]  # fmt: skip
SMALL = ["data=dots", "data.root=dots.txt", "batch_size=16", "knn_every=0", "runtime.threads=1"]
LONG = [*SMALL, "method=turns", "epochs=40", "log_every=10"]
"""Words of a training that is long enough to be killed between two checkpoints."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package of `plugin/`."""
    folder = tmp_path_factory.mktemp("plugin")
    project = shutil.copytree(HERE / "plugin", folder / "project")
    subprocess.run([*PIP, "--target", str(folder / "site"), str(project)], check=True)
    return folder / "site"


@pytest.fixture(autouse=True)
def installed(installation: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this process, and those that it starts, see the package."""
    shutil.copytree(installation, site.folder)
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    monkeypatch.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)
    site.forget()


@pytest.fixture
def dots(tmp_path: Path) -> Path:
    """A file of 160 pictures of 8 x 8 pixels, of which one half is brighter: the label's."""
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 2
    images = rng.integers(0, 100, (160, 8, 2, 4))
    images[np.arange(160), :, labels] += 120
    path = tmp_path / "dots.txt"
    np.savetxt(path, np.column_stack([labels, images.reshape(160, -1)]), fmt="%d", delimiter=",")
    return path


def kill_after_a_checkpoint(words: list[str], outputs: Path) -> Path:
    """Starts a run as a process, and kills it with SIGKILL; returns its folder."""
    command = [sys.executable, "-m", "sslcli", *words, f"runtime.outputs={outputs}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not list(outputs.rglob("last.pt")):
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    run = only_run(outputs)
    assert facts(run)["status"] == "running", "it was not killed while it trained"
    return run


@pytest.mark.slow
@pytest.mark.long
def test_killed_and_resumed_with_its_data_moved_it_is_as_if_uninterrupted(
    sslcli: Sslcli, dots: Path, tmp_path: Path
) -> None:
    assert sslcli("pretrain", *LONG, "runtime.outputs=whole").status == 0
    whole, cut = (
        only_run(tmp_path / "whole"),
        kill_after_a_checkpoint(["pretrain", *LONG], tmp_path / "cut"),
    )
    assert facts(whole)["choices"] == {
        "method": "turns", "encoder": "patchy", "data": "dots", "optim": "signs",
        "runtime": "default",
    }  # fmt: skip
    now = dots.rename(tmp_path / "moved.txt")
    fix = require_two_lines(sslcli("resume", str(cut)), "are not at")
    assert fix.endswith("--data-root FOLDER")
    outcome = sslcli("resume", str(cut), "--data-root", str(now))
    assert outcome.status == 0, outcome.err
    weights = [(run / "encoder.safetensors").read_bytes() for run in (whole, cut)]
    assert weights[0] == weights[1]
    assert records(whole) == records(cut)

    again = sslcli("rerun", str(cut))
    assert "identical: every record" in again.out, again.err
    fix = require_two_lines(sslcli("rerun", str(whole)), "are not at")
    assert fix.endswith(f"sslcli rerun {whole} --set data.root=FOLDER")
    again = sslcli("rerun", str(whole), "--set", f"data.root={now}")
    assert "identical: every record" in again.out, again.err


@pytest.mark.slow
def test_every_command_works_with_it(sslcli: Sslcli, dots: Path, tmp_path: Path) -> None:
    assert sslcli("pretrain", *SMALL, "method=turns", "epochs=1").status == 0
    run = only_run(tmp_path / "outputs")
    assert run.parent.name == "turns-dots"
    small = ["run=last", "l2=[0.1]", "runtime.threads=1"]
    for words in (
        ["linear-eval", *small],
        ["label-curve", *small, "labels=[4]", "subsets=1", "training.steps=4", "training.epochs=1"],
        ["finetune", *small[::2], "optim=signs", "training.steps=4", "training.epochs=1"],
        ["rerun", str(run)],
        ["export", str(run), "--to", "safetensors"],
        ["export", str(run), "--to", "torchscript"],
        ["report", str(run)],
        ["diagnose", str(run)],
        ["embed", str(run)],
        ["runs"],
    ):
        outcome = sslcli(*words)
        assert outcome.status == 0, (words, outcome.err)
    code = facts(only_run(tmp_path / "outputs/linear-eval"))["code"]
    assert code[f"encoder of {run}"]["package"] == "sslcli-turns"
    pictures = np.zeros((3, 8, 8, 1), np.uint8)
    for folder in (run, run / "export/safetensors"):
        assert package.load_encoder(folder).features(pictures).shape == (3, 12)


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_chooses_between_it_and_what_is_built_in(
    sslcli: Sslcli, dots: Path, tmp_path: Path
) -> None:
    choices = ["method=choice(turns,simclr)", "encoder=choice(patchy,mlp)"]
    assert (
        sslcli("pretrain", "-m", *choices, "encoder.bottleneck=8", *SMALL, "epochs=1").status == 0
    )
    runs = [path.parent for path in (tmp_path / "outputs").rglob("run.json")]
    chosen = [[facts(run)["choices"][group] for group in ("method", "encoder")] for run in runs]
    pairs = [[method, encoder] for method in ("simclr", "turns") for encoder in ("mlp", "patchy")]
    assert sorted(chosen) == pairs
    assert {facts(run)["status"] for run in runs} == {"finished"}


@pytest.mark.slow
def test_presets_completion_and_lists_know_it(sslcli: Sslcli, dots: Path, tmp_path: Path) -> None:
    presets = {
        "method/soft": "defaults: [turns, _self_]\nsmoothing: 0.25\n",
        "encoder/wide": "defaults: [patchy, _self_]\nunits: 20\n",
        "data/black": "defaults: [dots, _self_]\nroot: dots.txt\ninverted: true\n",
        "optim/short": "defaults: [signs, _self_]\nmomentum: 0.5\n",
    }
    groups = {name.partition("/")[0]: name.partition("/")[2] for name in presets}
    overrides = "".join(f"  - override /{group}: {name}\n" for group, name in groups.items())
    presets["experiment/mine"] = f"# @package _global_\ndefaults:\n{overrides}"
    for name, text in presets.items():
        path = tmp_path / f"presets/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    typed = [f"{group}={name}" for group, name in groups.items()]
    for words in (typed, ["experiment=mine"]):
        outcome = sslcli("pretrain", "--config-dir", "presets", *words, "--cfg", "job")
        for line in ("smoothing: 0.25", "units: 20", "inverted: true", "momentum: 0.5"):
            assert f"  {line}\n" in outcome.out, outcome.err
    for group, name, table in (
        ("method", "turns", "methods"), ("encoder", "patchy", "encoders"),
        ("data", "dots", "data"), ("optim", "signs", "optimizers"),
    ):  # fmt: skip
        begun = f"sslcli pretrain {group}={name[:-1]}"
        assert sslcli("completion", "query", begun).out.split() == [f"{group}={name}"]
        assert "(sslcli-turns" in sslcli("list", table).out
