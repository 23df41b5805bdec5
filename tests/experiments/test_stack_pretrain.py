"""`sslcli stack-pretrain`, end to end: what it compares and leaves, that it goes on wherever it was killed, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Killed, Sslcli, Steps, facts, only_run, records
from PIL import Image
from safetensors.torch import load_file

from sslcli.data.sample import FashionSampleConfig
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments.stack_pretrain_config import Config, FinetuneConfig, Noise, Pretraining
from sslcli.nets.encoder_config import Activation, ConvNetConfig, MLPConfig
from sslcli.runs.results import read_results
from sslcli.trained.code_file import read_code_file
from sslcli.trained.encoder_files import read_encoder

TINY = [
    "data=arrays", "data.root=pictures.npz", "encoder.widths=[10,6]", "epochs=[1]", "finetune.epochs=2", "log_every=1",
    "runtime.threads=1",
]  # fmt: skip


def pictures() -> dict[str, Any]:
    """45 for training, 5 held out for validation, 10 for the test."""
    coarse = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    images, labels = coarse.repeat(3, 1).repeat(3, 2), np.arange(50) % 2
    return {"x_train": images, "y_train": labels, "x_test": images[:10], "y_test": labels[:10]}


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    np.savez(tmp_path / "pictures.npz", **pictures())


def run_of(tmp_path: Path) -> Path:
    return only_run(tmp_path / "outputs/stack-pretrain")


def states(run: Path) -> dict[str, Any]:
    """What every checkpoint holds, as plain as can be compared."""
    return {
        str(path.relative_to(run)): plain(torch.load(path)) for path in sorted(run.rglob("*.pt"))
    }


def plain(content: Any) -> Any:
    if isinstance(content, torch.Tensor):
        return content.tolist()
    if isinstance(content, dict):
        # Of the bytes of records, how many the clock's digits are; and when the run began.
        others = ("metrics_size", "run_started")
        return {key: plain(value) for key, value in content.items() if key not in others}
    return [plain(value) for value in content] if isinstance(content, list | tuple) else content


def test_compares_networks_and_leaves_an_encoder(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli(
        "stack-pretrain", *TINY, "compare=[none,denoising]", "depths=[1,2]", "seeds=[0,1]"
    )
    assert outcome.status == 0, outcome.err
    run = run_of(tmp_path)
    found = facts(run)
    assert found["status"] == "finished"
    results = read_results(run)
    assert [(row.name, row.settings["depth"], row.settings["seed"]) for row in results.rows] == [
        (kind, depth, seed) for seed in (0, 1) for kind in ("none", "denoising") for depth in (1, 2)
    ]
    for row in results.rows:
        assert 0 <= row.scores["val_error"] <= 100
        assert row.settings["epochs"] == 2
        key = f"{row.name}-{row.settings['depth']}-seed{row.settings['seed']}_error"
        assert found["metrics"][key] == row.scores["test_error"]
    kept = [
        row.scores["val_error"]
        for row in results.rows
        if (row.name, row.settings["depth"]) == ("denoising", 2)
    ]
    assert found["metrics"]["val_error"] == pytest.approx(sum(kept) / 2), (
        "of the network that is kept, over seeds"
    )
    assert results.protocol.trained_on == "45 labels"
    assert results.protocol.tested_on == "10 test pictures, once a network"
    for words in ("none", "denoising", "depth 1", "depth 2", "±", str(run.relative_to(tmp_path))):
        assert words in outcome.out
    for name in ("figures/depths.png", "figures/curves.png", "encoder.safetensors"):
        assert (run / name).stat().st_size > 0
    trained = [record for record in records(run) if "val_loss" in record]
    assert [record["phase"] for record in trained] == [
        f"denoising-{seed}/layer-{layer}" for seed in (0, 1) for layer in (1, 2)
    ]
    # The encoder is the denoising one of the first seed, before it was fine-tuned.
    weights = load_file(run / "encoder.safetensors")
    for layer in (1, 2):
        saved = torch.load(run / f"denoising-0/layer-{layer}/last.pt")["state"]["modules"]
        for name in ("weight", "bias"):
            assert torch.equal(
                weights[f"layers.{layer - 1}.linear.{name}"], saved[f"layer.linear.{name}"]
            )
    assert read_encoder(run).seed == 0


def test_all_kinds_begin_with_the_same_weights(sslcli: Sslcli, tmp_path: Path) -> None:
    words = [*TINY, "compare=[none,autoencoder,denoising]", "finetune.epochs=1"]
    assert sslcli("stack-pretrain", *words, "optim.lr=1e-30", "finetune.lr=1e-30").status == 0
    run = run_of(tmp_path)
    first = [
        torch.load(run / f"{kind}-0/finetune-2/last.pt")["state"]["modules"][
            "encoder.layers.0.linear.weight"
        ]
        for kind in ("none", "autoencoder", "denoising")
    ]
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])


@pytest.mark.slow
def test_a_network_depends_on_its_own_settings_alone(sslcli: Sslcli, tmp_path: Path) -> None:
    """Not on the corruption where it is a plain stack, nor on the networks that were fine-tuned before it."""
    words = [*TINY, "compare=[autoencoder]"]
    assert (
        sslcli(
            "stack-pretrain", *words, "depths=[1,2]", "corruption=[0.25]", "runtime.outputs=a"
        ).status
        == 0
    )
    assert (
        sslcli(
            "stack-pretrain", *words, "depths=[2]", "corruption=[0.5]", "runtime.outputs=b"
        ).status
        == 0
    )
    one, other = (states(only_run(tmp_path / name)) for name in ("a", "b"))
    assert other.keys() == one.keys() - {"autoencoder-0/finetune-1/last.pt"}
    for path, state in other.items():
        assert state == one[path], path
    assert sslcli("stack-pretrain", *TINY, "finetune.epochs=0", "runtime.outputs=c").status == 0
    denoising = states(only_run(tmp_path / "c"))["denoising-0/layer-1/last.pt"]["state"]["modules"]
    assert denoising != one["autoencoder-0/layer-1/last.pt"]["state"]["modules"]


KILLS = [
    ("none-0/finetune-2", 4),  # in the first fine-tuning, later in its second epoch
    ("denoising-0/layer-1", 1),  # in a layer, after networks that are done
    ("denoising-0/layer-1", 2),  # the phase's last step, before it is saved
    (
        "denoising-0/layer-2",
        1,
    ),  # between phases: the layer below is finished, this one has not begun
    ("denoising-0/finetune-2", 3),
]


@pytest.mark.slow
def test_killed_anywhere_it_goes_on_and_ends_the_same(
    sslcli: Sslcli, tmp_path: Path, steps: Steps
) -> None:
    words = [*TINY, "compare=[none,denoising]", "finetune.epochs=3"]
    assert sslcli("stack-pretrain", *words, "runtime.outputs=whole").status == 0
    uninterrupted = steps.taken
    every: dict[str, list[int]] = {}
    for number, kill in enumerate(KILLS):
        steps.taken, steps.kill_at = {}, kill
        with pytest.raises(Killed):
            if number == 0:
                sslcli("stack-pretrain", *words, "runtime.outputs=cut")
            else:
                sslcli("resume", "last", "--outputs", "cut")
        for phase, taken in steps.taken.items():
            every.setdefault(phase, []).extend(taken)
    steps.taken, steps.kill_at = {}, None
    outcome = sslcli("resume", "last", "--outputs", "cut")
    assert outcome.status == 0, outcome.err
    assert steps.taken.keys() == {"denoising-0/finetune-2"}
    for phase, taken in every.items():
        if phase not in {name for name, _ in KILLS}:
            assert taken == uninterrupted[phase], f"{phase} was trained again"
    whole, cut = only_run(tmp_path / "whole"), only_run(tmp_path / "cut")
    assert records(cut) == records(whole)
    assert states(cut) == states(whole)
    for name in ("encoder.safetensors", "results.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_fine_tuning_ends_early_and_the_best_weights_are_scored(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    words = [
        *TINY,
        "compare=[none]",
        "finetune.epochs=30",
        "finetune.patience=2",
        "finetune.lr=1e-30",
    ]
    assert sslcli("stack-pretrain", *words).status == 0
    run = run_of(tmp_path)
    (row,) = read_results(run).rows
    accuracies = [record["val_accuracy"] for record in records(run) if "val_accuracy" in record]
    assert row.settings["epochs"] == len(accuracies) == accuracies.index(max(accuracies)) + 1 + 2
    assert len(accuracies) < 30
    assert row.scores["val_error"] == pytest.approx(100 * (1 - max(accuracies)))


def test_its_encoder_is_evaluated_at_any_depth(sslcli: Sslcli, tmp_path: Path) -> None:
    assert sslcli("stack-pretrain", *TINY, "finetune.epochs=0").status == 0
    few = [
        "run=last",
        "l2=[1e-2,1e-1]",
        "baselines=false",
        "runtime.threads=1",
        "runtime.outputs=outputs",
    ]
    for layer, width in ((1, 10), (2, 6)):
        outcome = sslcli("linear-eval", *few, f"layer={layer}")
        assert outcome.status == 0, outcome.err
        newest = max(
            (tmp_path / "outputs/linear-eval").rglob("results.json"),
            key=lambda path: path.stat().st_mtime_ns,
        )
        results = read_results(newest.parent)
        assert results.row("trained_encoder").settings["width"] == width
        features = str(results.protocol.details["features"])
        assert features.startswith(f"output of layer {layer},")
    Image.fromarray(pictures()["x_test"][0]).save(tmp_path / "a.png")
    outcome = sslcli("encode", "last", "a.png", "--to", "codes.npz", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert read_code_file(tmp_path / "codes.npz").origin.method == "stack-pretrain"
    assert sslcli("decode", "last", "codes.npz", "--to", "decoded", "--device", "cpu").status == 0
    with Image.open(tmp_path / "decoded/a.png") as decoded:
        assert decoded.size == (12, 12)
    outcome = sslcli("linear-eval", *few, "layer=9")
    assert outcome.status == 2
    assert "layer must be 1 to 2, got 9" in outcome.err


def test_without_labels_the_layers_are_trained_alone(sslcli: Sslcli, tmp_path: Path) -> None:
    np.savez(tmp_path / "pictures.npz", x_train=pictures()["x_train"])
    outcome = sslcli("stack-pretrain", *TINY)
    assert outcome.status == 0, outcome.err
    assert "have no labels" in outcome.out
    run = run_of(tmp_path)
    assert {record["phase"] for record in records(run)} == {
        "denoising-0/layer-1",
        "denoising-0/layer-2",
    }
    assert (run / "encoder.safetensors").exists()
    assert not (run / "results.json").exists()
    assert facts(run)["status"] == "finished"
    outcome = sslcli("rerun", "last")
    assert outcome.status == 0, outcome.out
    assert "identical" in outcome.out
    outcome = sslcli("stack-pretrain", *TINY, "compare=[none]")
    assert outcome.status == 2
    assert "nothing would be trained" in outcome.err


def test_a_convolutional_stack_with_the_modern_choices(sslcli: Sslcli, tmp_path: Path) -> None:
    np.savez(tmp_path / "pictures.npz", **{key: pictures()[key] for key in ("x_train", "y_train")})
    outcome = sslcli(
        "stack-pretrain", "data=arrays", "data.root=pictures.npz", "encoder=conv_stack", "encoder.widths=[4,6]",
        "encoder.activation=relu", "reconstruction=squared_error", "optim=adamw", "finetune.lr=1e-3", "epochs=[1,2]",
        "corruption=[0.1,0.3]", "noise=gaussian", "finetune.epochs=1", "finetune.labels=5", "runtime.threads=1",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    run = run_of(tmp_path)
    assert run.parent.name == "conv_stack-arrays"
    results = read_results(run)
    (row,) = results.rows
    assert row.scores["test_error"] is None
    assert results.protocol.trained_on == "10 labels"
    assert results.protocol.tested_on == "no test part"
    assert "validation error" in outcome.out
    ends = {record["phase"]: record["epoch"] for record in records(run)}
    assert (ends["denoising-0/layer-1"], ends["denoising-0/layer-2"]) == (1, 2)


def test_test_pictures_without_labels_are_refused_before_training(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    np.savez(
        tmp_path / "pictures.npz",
        **{key: pictures()[key] for key in ("x_train", "y_train", "x_test")},
    )
    outcome = sslcli("stack-pretrain", *TINY)
    assert outcome.status == 2
    assert "fine-tuning needs labels, and the test pictures have none" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare=[noise]"], "compare"),
        (["depths=[4]"], "depths must be 1 to 2, got 4"),
        (["compare=[none]", "finetune.epochs=0"], "nothing would be trained"),
        (["finetune.labels=1.5"], "finetune.labels must be"),
        (["finetune.labels=30"], "finetune.labels asks for 30"),
        (["batch_size=50"], "batch_size must be at most the 45 training pictures"),
        (["encoder=convnet", "encoder.widths=[4]"], "there is no key 'encoder.widths'"),
    ],
)
def test_what_cannot_be_is_two_lines(sslcli: Sslcli, words: list[str], message: str) -> None:
    outcome = sslcli("stack-pretrain", *TINY, *words)
    assert outcome.status == 2, outcome.err
    error, fix = outcome.err.strip().splitlines()[-2:]
    assert error.startswith("error: ")
    assert message in error
    assert fix.startswith("fix: ")


SIGMOID = MLPConfig(widths=[10, 6], activation=Activation.sigmoid, batch_norm=False)
NONE = Pretraining.none


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"corruption": [0.1, 0.2, 0.3]},
            "corruption must be one value, or one for each of the 2 layers",
        ),
        ({"corruption": []}, "corruption must be"),
        ({"corruption": [1.5]}, "corruption must be in [0, 1), got [1.5]"),
        ({"corruption": [0.2, -0.1]}, "corruption must be in [0, 1), got [0.2, -0.1]"),
        (
            {"corruption": [-0.1], "noise": Noise.gaussian},
            "corruption must be at least 0, got [-0.1]",
        ),
        ({"corruption": [0.0]}, "corruption must be positive to denoise"),
        ({"epochs": [1, 1, 1]}, "epochs must be one value, or one for each of the 2 layers"),
        ({"epochs": []}, "epochs must be"),
        ({"epochs": [0]}, "epochs must be at least 1 each"),
        ({"depths": [4]}, "depths must be 1 to 2, got 4"),
        ({"depths": [0]}, "depths must be 1 to 2, got 0"),
        ({"depths": [1, 1]}, "depths must be without repetition"),
        ({"seeds": [0, 0]}, "seeds must be without repetition"),
        ({"seeds": []}, "seeds must be a list with something in it"),
        ({"compare": [NONE, NONE]}, "compare must be without repetition, got ['none', 'none']"),
        ({"encoder": ConvNetConfig()}, "a plain chain of layers"),
        ({"encoder": MLPConfig(bottleneck=3)}, "a plain chain of layers"),
        (
            {"encoder": MLPConfig(widths=[10, 6])},
            "cross_entropy needs codes in [0, 1], and encoder.activation=relu",
        ),
        (
            {"encoder": replace(SIGMOID, batch_norm=True), "batch_size": 1},
            "batch_size must be at least 2 with",
        ),
        (
            {
                "encoder": replace(SIGMOID, batch_norm=True),
                "finetune": FinetuneConfig(batch_size=1),
            },
            "finetune.batch_size must be at least 2 with",
        ),
        (
            {"runtime": RuntimeConfig(compile=True)},
            "runtime.compile must be false for stack-pretrain",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    given = {
        "encoder": SIGMOID,
        "data": FashionSampleConfig(),
        "optim": SGDConfig(),
        "runtime": RuntimeConfig(),
    }
    with pytest.raises(SslcliError) as caught:
        Config(**{**given, **settings})
    assert message in caught.value.message
    assert caught.value.fix


def test_settings_of_fine_tuning_are_checked() -> None:
    for settings in (
        {"epochs": -1},
        {"patience": 0},
        {"lr": 0.0},
        {"batch_size": 0},
        {"labels": 0.0},
    ):
        (name,) = settings
        with pytest.raises(SslcliError, match=rf"^finetune\.{name} must be"):
            FinetuneConfig(**settings)
