"""Commands on a simulated accelerator, from their words to their files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from doubles import TINY, TINY_WITHOUT_LIMIT, Sslcli, facts, only_run
from PIL import Image
from simulated_device import WAITS

pytestmark = pytest.mark.usefixtures("device")
STACK = [
    "data=arrays", "data.root=pictures.npz", "encoder.widths=[10,6]", "epochs=[1]", "finetune.epochs=1",
    "compare=[none,denoising]", "depths=[1]", "runtime.threads=1",
]  # fmt: skip


def finished(sslcli: Sslcli, *words: str) -> Path:
    """Runs a command; returns the folder of its run."""
    outcome = sslcli(*words)
    assert outcome.status == 0, outcome.err
    run = only_run(Path("outputs") / words[0])
    assert facts(run)["status"] == "finished"
    return run


INPAINT = ["method=context_encoder", "encoder=context", "num_scored=8", *TINY]


def test_pretraining_is_measured_there_and_saved_for_anywhere(sslcli: Sslcli) -> None:
    run = finished(sslcli, "pretrain", *TINY, "knn_every=1")
    assert facts(run)["environment"]["device"].startswith("sim")
    state = torch.load(run / "pretrain/last.pt", weights_only=True)["state"]["modules"]
    assert all(type(value) is torch.Tensor for value in state.values())


def test_inpainting_runs_to_its_end(sslcli: Sslcli) -> None:
    finished(sslcli, "inpaint", *INPAINT)


@pytest.mark.parametrize(
    "words",
    [
        ["finetune", "training.epochs=1", "training.steps=3"],
        ["linear-eval", "l2=[1e-3,1e-1]"],
        ["label-curve", "labels=[4]", "subsets=1", "training.epochs=1", "training.steps=2"],
    ],
    ids=lambda words: words[0],
)
def test_evaluations_run_to_their_end(sslcli: Sslcli, coloured: Path, words: list[str]) -> None:
    command, *rest = words
    finished(sslcli, command, f"run={coloured}", *rest)


def test_a_stack_is_trained_there(sslcli: Sslcli, coloured: Path) -> None:
    finished(sslcli, "stack-pretrain", *STACK)


def test_what_pretraining_is_worth_is_measured_there(sslcli: Sslcli, coloured: Path) -> None:
    words = [
        *TINY_WITHOUT_LIMIT,
        "epochs=1",
        "knn_every=0",
        "data=arrays",
        "data.root=pictures.npz",
    ]
    words += ["training.epochs=1", "training.steps=1", "training.batch_size=8", "l2=[1e-2]"]
    finished(sslcli, "worth", *words, "labels=[4,8]", "subsets=2")


def test_tools_read_runs_there(sslcli: Sslcli, coloured: Path) -> None:
    for words in (["diagnose"], ["embed"], ["export", "--to", "safetensors"]):
        outcome = sslcli(words[0], str(coloured), *words[1:])
        assert outcome.status == 0, outcome.err


def test_a_linear_eval_of_ten_strengths_waits_less_than_500_times(
    sslcli: Sslcli, coloured: Path
) -> None:
    """On 120 pictures: on the sample's 9,000 the count was 335, and took 18 minutes on a busy machine."""
    strengths = "l2=[1e-6,1e-5,1e-4,3e-4,1e-3,3e-3,1e-2,1e-1,1.0,10.0]"
    finished(sslcli, "linear-eval", f"run={coloured}", strengths)
    assert WAITS.total < 500, WAITS.counts.most_common(8)


def test_a_picture_is_edited_there(sslcli: Sslcli, coloured: Path) -> None:
    words = [*TINY_WITHOUT_LIMIT, "method=denoising_autoencoder", "encoder=convnet", "epochs=1"]
    words += ["encoder.bottleneck=4", "knn_every=0", "data=arrays", "data.root=pictures.npz"]
    assert sslcli("pretrain", *words, "runtime.outputs=coded").status == 0
    Image.new("RGB", (12, 12), (150, 40, 40)).save("a.png")
    outcome = sslcli("edit", "last", "a.png", "--towards", "1", "--outputs", "coded")
    assert outcome.status == 0, outcome.err
    assert "seen in its code" in outcome.out
