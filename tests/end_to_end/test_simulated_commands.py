"""Commands on a simulated accelerator, from their words to their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import simulated_device as simulated
import torch
from doubles import TINY, TINY_WITHOUT_LIMIT, Sslcli, facts, only_run
from simulated_device import WAITS

from sslcli.engine.device import Compute

pytestmark = pytest.mark.slow
ON_SIM = Compute(torch.device("cpu"), None)


@pytest.fixture
def on_sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets every command choose the simulated accelerator; in views and train_step a wait raises `Waited`."""
    try:
        simulated.install()
    except ImportError as reason:
        pytest.skip(f"torch {torch.__version__} has no Python backend for devices: {reason}")
    compute = Compute(torch.device("sim", 0), None)
    monkeypatch.setattr(Compute, "choose", classmethod(lambda cls, config: compute))
    monkeypatch.setattr("sslcli.engine.train.record_function", simulated.no_waits)
    WAITS.counts.clear()
    with simulated.OnDevice():
        yield


def finished(sslcli: Sslcli, *words: str) -> Path:
    """Runs a command; returns the folder of its run."""
    outcome = sslcli(*words)
    assert outcome.status == 0, outcome.err
    run = only_run(Path("outputs") / words[0])
    assert facts(run)["status"] == "finished"
    return run


INPAINT = ["method=context_encoder", "encoder=context", "num_scored=8", *TINY]


@pytest.mark.usefixtures("on_sim")
def test_pretraining_is_measured_there_and_saved_for_anywhere(sslcli: Sslcli) -> None:
    run = finished(sslcli, "pretrain", *TINY, "knn_every=1")
    assert facts(run)["environment"]["device"].startswith("sim")
    state = torch.load(run / "pretrain/last.pt", weights_only=True)["state"]["modules"]
    assert all(type(value) is torch.Tensor for value in state.values())


@pytest.mark.usefixtures("on_sim")
def test_inpainting_runs_to_its_end(sslcli: Sslcli) -> None:
    finished(sslcli, "inpaint", *INPAINT)


@pytest.mark.usefixtures("on_sim")
@pytest.mark.parametrize(
    "words",
    [
        ["finetune", "training.epochs=1", "training.steps=3"],
        ["linear-eval", "l2=[1e-3,1e-1]"],
        ["label-curve", "labels=[2,0.5]", "seeds=[0]", "training.epochs=1", "training.steps=2"],
    ],
    ids=lambda words: words[0],
)
def test_evaluations_run_to_their_end(sslcli: Sslcli, coloured: Path, words: list[str]) -> None:
    command, *rest = words
    finished(sslcli, command, f"run={coloured}", *rest)


@pytest.mark.usefixtures("on_sim")
def test_a_stack_is_trained_there(sslcli: Sslcli) -> None:
    words = [*TINY_WITHOUT_LIMIT[:1], "data.limit=64", "encoder.widths=[8,6]", "epochs=1"]
    finished(sslcli, "stack-pretrain", *words, "runtime.threads=1")


@pytest.mark.usefixtures("on_sim")
def test_tools_read_runs_there(sslcli: Sslcli, coloured: Path) -> None:
    for words in (["diagnose"], ["embed"], ["export", "--to", "safetensors"]):
        outcome = sslcli(words[0], str(coloured), *words[1:])
        assert outcome.status == 0, outcome.err


@pytest.mark.usefixtures("on_sim")
def test_a_linear_eval_of_ten_strengths_waits_less_than_500_times(sslcli: Sslcli) -> None:
    """On the sample's 9,000 pictures, with an untrained-like encoder of one epoch."""
    words = ["encoder.width=4", "epochs=1", "batch_size=256", "knn_every=0", "runtime.threads=1"]
    run = finished(sslcli, "pretrain", *words, "data.limit=512")
    WAITS.counts.clear()
    strengths = "l2=[1e-6,1e-5,1e-4,3e-4,1e-3,3e-3,1e-2,1e-1,1.0,10.0]"
    finished(sslcli, "linear-eval", f"run={run}", "data=fashion_sample", strengths)
    assert WAITS.total < 500, WAITS.counts.most_common(8)
